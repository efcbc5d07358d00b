//! Question to plan, evidence, claims with exact quotes.
