//! Examples of bodies, made of the bodies' own types, so that they cannot differ from them.

mod custody;
mod research;
mod screening;

use carrel_domain::{BaselineId, CollectionId, DocumentId, JobId, VersionId};
use carrel_wire::{
    ActorBody, AttemptBody, BaselineBody, ChangeBody, CollectionBody, CustodyKindBody, DamageBody, DiffBody,
    DifferenceBody, DocumentBody, DuplicateBody, FilterBody, FixityBody, FixityReportBody, GenerationBody, HitBody,
    JobBody, JobPageBody, LookupBody, MemberBody, ModeBody, NewBaselineBody, NewCollectionBody, NewHoldBody,
    OccurrenceBody, OccurrencesBody, OriginBody, Page, PassageBody, PolicyViewBody, ProgressBody, QuestionBody,
    ReasonBody, RejectionBody, ReleaseAsBody, ReleaseBody, RetriedBody, RetriesBody, RetryBody, RunComparisonBody,
    ScanBody, ScannedBody, ScoresBody, ScreeningJobBody, ScreeningNoteBody, SearchAnswerBody, SearchBody, SnippetBody,
    SpanBody, TextBody, TokenBody, TokenErrorBody, UploadBody, UploadOutcome, VerificationBody, VersionBody,
    VersionPageBody, WaitBody,
};
use chrono::{DateTime, Utc};
use custody::{audit_entry, custody_event, erasure, hold};
use research::{event, report, run, run_page};
use screening::{collection_screening, document_screening, policy};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Id of a request.
pub(super) const REQUEST: &str = "0197a3c2-5f10-7c44-9a51-1f0d6c2b9e10";

const QUESTION: &str = "How fast must the outer gate close?";

const TEXT: &str = "The outer gate must close within ninety seconds.";

fn id<T: From<Uuid>>(number: u128) -> T {
    // Version 7, as all of them are.
    T::from(Uuid::from_u128(0x0197_a3c2_5f10_7c44_9a51_0000_0000_0000 + number))
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_782_000_000 + seconds, 0).unwrap_or_default()
}

fn value(body: impl Serialize) -> Option<Value> {
    serde_json::to_value(body).ok()
}

fn page<T: Serialize>(row: T) -> Option<Value> {
    value(Page { items: vec![row], next_cursor: Some("vG4kHwAGWlqk0AAZejwl8QfESaUQAAAAAAAAAQ".to_owned()) })
}

/// The example of a schema, as it travels in `media_type`.
pub(super) fn of_schema(media_type: &str, name: &str) -> Option<Value> {
    match name {
        "NewCollectionBody" => value(NewCollectionBody {
            name: "harbour".to_owned(),
            description: "The case of the outer gate.".to_owned(),
        }),
        "CollectionBody" => value(collection()),
        "Page_CollectionBody" => page(collection()),
        "UploadForm" => value(json!({
            "file": "(the bytes of the file)", "external_id": "gate-manual", "title": "Gate manual",
            "metadata": "{\"year\":2024}",
        })),
        "UploadBody" => value(upload()),
        "NewBaselineBody" => value(NewBaselineBody {
            name: "Contract as signed".to_owned(),
            description: "What both sides had on the day.".to_owned(),
            ..NewBaselineBody::default()
        }),
        "BaselineBody" => value(baseline()),
        "Page_BaselineBody" => page(baseline()),
        "Page_MemberBody" => page(member(3, 1)),
        "Page_ChangeBody" => page(ChangeBody::Changed { before: member(3, 1), after: member(11, 2) }),
        "Page_AuditEntryBody" => page(audit_entry()),
        "ScanBody" => value(ScanBody {
            code: "CARREL1:AGL2HQS7CB6EJGSRAAAAAAAAAIAQCAIBAEAQCAIBAEAQC".to_owned(),
            event: CustodyKindBody::Moved,
            place: Some("Archive, shelf 4".to_owned()),
            note: None,
        }),
        "ScannedBody" => value(ScannedBody {
            event: custody_event(),
            document_name: "gate-manual.pdf".to_owned(),
            sha256: upload().sha256,
        }),
        "Page_CustodyEventBody" => page(custody_event()),
        "NewHoldBody" => value(NewHoldBody {
            document_id: Some(id(2)),
            collection_id: None,
            reason: "Named in the claim of 3 May.".to_owned(),
        }),
        "HoldBody" => value(hold()),
        "Page_HoldBody" => page(hold()),
        "ReasonBody" => value(ReasonBody { reason: "The claim was settled on 9 June.".to_owned() }),
        "ErasureBody" => value(erasure()),
        "DiffBody" => value(DiffBody {
            before: id(3),
            after: id(11),
            differences: vec![DifferenceBody {
                before: SpanBody { start: 42, end: 45 },
                after: SpanBody { start: 42, end: 45 },
                removed: "105".to_owned(),
                inserted: "110".to_owned(),
                context: "Each gate leaf shall close in at most ".to_owned(),
            }],
            truncated: false,
        }),
        "DocumentBody" => value(document()),
        "PolicyBody" => value(policy()),
        "PolicyViewBody" => {
            value(PolicyViewBody { policy: policy(), effective: policy(), revision: 3, updated_at: Some(at(20)) })
        }
        "DocumentScreeningBody" => value(document_screening()),
        "CollectionScreeningBody" => value(collection_screening()),
        "ReleaseBody" => value(ReleaseBody {
            reason: "The account is the harbour's own and printed on every invoice.".to_owned(),
            shown: ReleaseAsBody::Plain,
        }),
        "RejectionBody" => value(RejectionBody { reason: "It was sent by mistake.".to_owned() }),
        "ScreeningJobBody" => value(ScreeningJobBody { job_id: id(4) }),
        "LookupBody" => value(LookupBody { value: "DE89 3704 0044 0532 0130 00".to_owned() }),
        "OccurrencesBody" => value(OccurrencesBody {
            occurrences: vec![OccurrenceBody {
                document_id: id(2),
                name: "gate-manual.pdf".to_owned(),
                version_id: id(3),
                version_number: 1,
                kind: "iban".to_owned(),
                count: 2,
            }],
        }),
        "Page_DocumentBody" => page(document()),
        "VersionBody" => value(version()),
        "FixityReportBody" => value(FixityReportBody {
            originals: 24,
            checked: 24,
            damaged: 1,
            missing: 0,
            oldest_check: Some(at(86_400)),
            items: vec![DamageBody {
                sha256: upload().sha256,
                size: 48_213,
                fixity: fixity("damaged", Some("it has 48212 bytes instead of 48213")),
                versions: vec![id(3)],
            }],
            next_cursor: None,
        }),
        "DuplicateBody" => value(duplicate()),
        "GenerationBody" => value(GenerationBody {
            number: 1,
            space: "all-MiniLM-L6-v2/int8".to_owned(),
            dimension: 384,
            state: "live".to_owned(),
            created_at: at(0),
            live_since: Some(at(0)),
            vectors: 240,
            wanted: 240,
        }),
        "VersionPageBody" => value(VersionPageBody { version: version(), document: document() }),
        "TextBody" => value(TextBody { version_id: id(3), span: span(), characters: 5_120, text: TEXT.to_owned() }),
        "SearchBody" => value(SearchBody {
            query: QUESTION.to_owned(),
            mode: ModeBody::Hybrid,
            collections: Vec::new(),
            filter: filter(),
            limit: 10,
        }),
        "SearchAnswerBody" => value(SearchAnswerBody {
            hits: vec![hit()],
            terms: ["fast", "outer", "gate", "close"].map(str::to_owned).to_vec(),
        }),
        "QuestionBody" => value(QuestionBody {
            question: QUESTION.to_owned(),
            collections: Vec::new(),
            filter: FilterBody::default(),
        }),
        "RunBody" => value(run()),
        "Page_RunBody" => page(run()),
        "RunPageBody" => value(run_page()),
        "RunEventBody" if media_type == "text/event-stream" => {
            let data = serde_json::to_string(&event()).ok()?;
            Some(format!("id: 1\nevent: asked\ndata: {data}\n\n").into())
        }
        "RunComparisonBody" => value(RunComparisonBody { same: true, equal: 4, gone: Vec::new(), new: Vec::new() }),
        "VerificationBody" => value(VerificationBody { citations: 4, exact: 4, deleted: 0 }),
        "JobBody" => value(job()),
        "Page_JobBody" => page(job()),
        "JobPageBody" => value(JobPageBody { job: job(), waits: vec![wait()], attempts: vec![attempt()] }),
        "RetryBody" => value(RetryBody { job_id: id(4) }),
        "RetriesBody" => value(RetriesBody { jobs: vec![RetriedBody { dead_letter_id: id(13), job_id: id(4) }] }),
        "TokenForm" => value(json!({
            "grant_type": "client_credentials", "client_id": id::<Uuid>(9), "client_secret": "carrel_…",
            "scope": "documents:read search",
        })),
        "TokenBody" => value(TokenBody {
            access_token: "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.…".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 3_600,
            scope: "documents:read search".to_owned(),
        }),
        "TokenErrorBody" => value(TokenErrorBody {
            error: "invalid_client".to_owned(),
            error_description: "the client's id or secret is wrong".to_owned(),
        }),
        "HealthBody" => value(json!({ "status": "pass", "checks": { "database": "pass", "store": "pass" } })),
        _ => None,
    }
}

/// The example of an operation whose answer has no schema of its own.
pub(super) fn of_operation(name: &str) -> Option<Value> {
    match name {
        "get_report_markdown" => Some(report().into()),
        "get_document_screening_csv" => {
            Some("version,place,kind,category,severity,action,start,end,confidence,validated,mask,digest\n…\n".into())
        }
        "get_document_screening_markdown" => {
            Some("# Screening of gate-manual.pdf\n\nVersion 1 (searchable): …\n".into())
        }
        "get_collection_screening_csv" => {
            Some("document,name,state,verdict,kind,category,action,count,validated,values\n…\n".into())
        }
        "get_collection_screening_markdown" => {
            Some("# Screening of the collection harbour\n\n24 documents: …\n".into())
        }
        "get_original" => Some("(the bytes of the original)".into()),
        "get_label" => Some("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"62mm\" height=\"29mm\">…</svg>".into()),
        "get_receipt" => Some("eyJhbGciOiJFZERTQSJ9.eyJmb3JtYXQiOiJjYXJyZWwtZXJhc3VyZS1yZWNlaXB0LzEifQ.…".into()),
        "get_bundle" => Some("(the bytes of the archive)".into()),
        "get_jwks" => value(json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "(thumbprint of RFC 7638)",
            "x": "(43 characters)", "y": "(43 characters)",
        }] })),
        "get_authorization_server" => value(json!({
            "issuer": "https://archive.example", "token_endpoint": "https://archive.example/oauth/token",
            "jwks_uri": "https://archive.example/.well-known/jwks.json",
            "grant_types_supported": ["client_credentials"],
        })),
        _ => None,
    }
}

fn span() -> SpanBody {
    SpanBody { start: 1_204, end: 1_252 }
}

fn collection() -> CollectionBody {
    CollectionBody {
        id: id(1),
        name: "harbour".to_owned(),
        description: "The case of the outer gate.".to_owned(),
        created_at: at(0),
        documents: 24,
    }
}

fn upload() -> UploadBody {
    UploadBody {
        outcome: UploadOutcome::Created,
        document_id: id::<DocumentId>(2),
        version_id: id::<VersionId>(3),
        job_id: Some(id::<JobId>(4)),
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        same_bytes: Vec::new(),
    }
}

fn filter() -> FilterBody {
    FilterBody { metadata: Map::from_iter([("year".to_owned(), 2024.into())]), ..FilterBody::default() }
}

fn document() -> DocumentBody {
    DocumentBody {
        id: id(2),
        collection_id: id::<CollectionId>(1),
        external_id: "gate-manual".to_owned(),
        name: "gate-manual.pdf".to_owned(),
        metadata: filter().metadata,
        created_at: at(10),
        updated_at: at(14),
        current_version_id: Some(id(3)),
        versions: 1,
        latest: version(),
        duplicates: vec![duplicate()],
    }
}

fn version() -> VersionBody {
    VersionBody {
        id: id(3),
        document_id: id(2),
        number: 1,
        file_name: "gate-manual.pdf".to_owned(),
        title: Some("Gate manual".to_owned()),
        media_type: Some("application/pdf".to_owned()),
        language: Some("eng".to_owned()),
        characters: Some(5_120),
        size: 48_213,
        sha256: upload().sha256,
        blake3: "4878ca0425c739fa427f7eda20fe845f6b2e46ba5fe2a14df5b1e32f50603215".to_owned(),
        state: "searchable".to_owned(),
        failure: None,
        warnings: Vec::new(),
        screening: Some(ScreeningNoteBody { verdict: "masked".to_owned(), findings: 2, review: None }),
        fixity: Some(fixity("sound", None)),
        created_at: at(10),
        created_by: Some(ActorBody::Client { id: id(9) }),
        origin: Some(OriginBody { kind: "upload".to_owned(), version_id: None }),
        members: None,
    }
}

fn fixity(verdict: &str, problem: Option<&str>) -> FixityBody {
    FixityBody {
        verdict: verdict.to_owned(),
        problem: problem.map(str::to_owned),
        checked_at: at(86_400),
        damaged_since: problem.map(|_| at(86_400)),
    }
}

fn duplicate() -> DuplicateBody {
    DuplicateBody {
        kind: "near".to_owned(),
        document_id: id(15),
        collection_id: id(1),
        name: "gate-manual-draft.pdf".to_owned(),
        external_id: "gate-manual-draft".to_owned(),
        version_id: id(16),
        similarity: Some(0.9375),
        closeness: None,
    }
}

fn hit() -> HitBody {
    HitBody {
        document_id: id(2),
        document_name: "gate-manual.pdf".to_owned(),
        external_id: "gate-manual".to_owned(),
        collection_id: id(1),
        version_id: id(3),
        version_number: 1,
        title: Some("Gate manual".to_owned()),
        passage: PassageBody {
            ordinal: 7,
            span: span(),
            page: Some(3),
            headings: vec!["Closing".to_owned()],
            language: "eng".to_owned(),
            text: TEXT.to_owned(),
        },
        snippet: SnippetBody { text: TEXT.to_owned(), highlights: vec![SpanBody { start: 4, end: 14 }], page: Some(3) },
        scores: ScoresBody { rank: 1.0, lexical: Some(8.5), vector: Some(0.75) },
    }
}

fn job() -> JobBody {
    JobBody {
        id: id(4),
        kind: "document.extract".to_owned(),
        queue: "ingest".to_owned(),
        state: "running".to_owned(),
        priority: 0,
        payload: json!({ "version": id::<Uuid>(3) }),
        attempt: 1,
        max_attempts: 4,
        run_at: at(10),
        progress: Some(ProgressBody { done: 3, total: Some(12), note: "reading pages".to_owned() }),
        last_error: None,
        parent_id: None,
        replay_of: None,
        unique_key: None,
        limit_key: None,
        cancel_requested_at: None,
        created_at: at(10),
        started_at: Some(at(11)),
        finished_at: None,
    }
}

fn wait() -> WaitBody {
    let message = "It runs on worker-1 since 3 seconds.".to_owned();
    WaitBody { reason: "running_on".to_owned(), message, since: Some(at(11)) }
}

fn attempt() -> AttemptBody {
    AttemptBody {
        number: 1,
        started_at: at(11),
        ended_at: None,
        worker_id: Some(id(14)),
        outcome: "running".to_owned(),
        error: None,
    }
}

fn baseline() -> BaselineBody {
    BaselineBody {
        id: id::<BaselineId>(12),
        name: "Contract as signed".to_owned(),
        description: "What both sides had on the day.".to_owned(),
        digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        documents: 28,
        collections: Vec::new(),
        created_at: at(900),
    }
}

fn member(version: u128, number: u32) -> MemberBody {
    MemberBody {
        document_id: id(2),
        collection_id: id(1),
        external_id: "gate-manual".to_owned(),
        name: "manual.pdf".to_owned(),
        version_id: id(version),
        number,
        size: 48_211,
        sha256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".to_owned(),
        blake3: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".to_owned(),
        rendition_sha256: "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9".to_owned(),
        erased: None,
    }
}
