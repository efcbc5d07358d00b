//! Normalised text: passages, sentences, anchors, terms.
