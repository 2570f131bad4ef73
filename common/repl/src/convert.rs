//! Messages of the core and records of the log ↔ generated messages. Whatever does not make sense is refused here, whole.

use crate::core::config::{ConfigId, MEMBERS_MAX, SetConfig};
use crate::core::event::Verdict;
use crate::core::message::{Body, Denial, Message, Position, Reason, State, Status, VoteReply, VoteRequest};
use crate::data::{KeyRange, LogRecord};
use bson::RawDocument;
use bson::oid::ObjectId;
use bytes::Bytes;
use proto::replication as pb;
use proto::replication::core_message::Body as PbBody;
use std::sync::Arc;
use types::{Code, Fault, OpTime, Timestamp, Uuid};

/// The longest `host:port` or name of a set.
const NAME_BYTES_MAX: usize = 1024;
/// A configuration with 50 members and all their tags is far smaller.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// A record's key and document; the largest document and room for what storage puts around it.
const RECORD_BYTES_MAX: usize = 48 * 1024 * 1024;

fn malformed(what: &str) -> Fault {
    Fault::new(Code::ProtocolError, format!("malformed message between members: {what}"))
}

/// Who calls, and whom it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) set: String,
    /// `None` without a configuration.
    pub(crate) replica_set_id: Option<ObjectId>,
    pub(crate) host: String,
    pub(crate) to: String,
}

pub(crate) fn sender_to_proto(sender: &Sender) -> pb::Sender {
    pb::Sender {
        set: sender.set.clone(),
        replica_set_id: object_id_to_proto(sender.replica_set_id),
        host: sender.host.clone(),
        to: sender.to.clone(),
    }
}

pub(crate) fn sender(sender: Option<pb::Sender>) -> Result<Sender, Fault> {
    let sender = sender.ok_or_else(|| malformed("sender"))?;
    if [&sender.set, &sender.host, &sender.to].iter().any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(malformed("name too long"));
    }
    Ok(Sender {
        set: sender.set,
        replica_set_id: object_id(&sender.replica_set_id)?,
        host: sender.host,
        to: sender.to,
    })
}

pub(crate) fn object_id_to_proto(id: Option<ObjectId>) -> Bytes {
    id.map(|id| Bytes::copy_from_slice(&id.bytes())).unwrap_or_default()
}

pub(crate) fn object_id(bytes: &Bytes) -> Result<Option<ObjectId>, Fault> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes: [u8; 12] = bytes.as_ref().try_into().map_err(|_| malformed("replica set id"))?;
    Ok(Some(ObjectId::from_bytes(bytes)))
}

pub(crate) fn op_time_to_proto(at: OpTime) -> Option<pb::OpTime> {
    Some(pb::OpTime { ts: at.ts.0, term: at.term })
}

pub(crate) fn op_time(at: Option<pb::OpTime>) -> Result<OpTime, Fault> {
    let at = at.ok_or_else(|| malformed("op time"))?;
    if at.term < -1 {
        return Err(malformed("term of an op time"));
    }
    Ok(OpTime { ts: Timestamp(at.ts), term: at.term })
}

fn position_to_proto(position: Position) -> Option<pb::Position> {
    Some(pb::Position {
        applied: op_time_to_proto(position.applied),
        durable: op_time_to_proto(position.durable),
    })
}

fn position(position: Option<pb::Position>) -> Result<Position, Fault> {
    let position = position.ok_or_else(|| malformed("position"))?;
    Ok(Position { applied: op_time(position.applied)?, durable: op_time(position.durable)? })
}

pub(crate) fn config_id_to_proto(id: ConfigId) -> Option<pb::ConfigId> {
    Some(pb::ConfigId { term: id.term, version: id.version })
}

pub(crate) fn config_id(id: Option<pb::ConfigId>) -> Result<ConfigId, Fault> {
    let id = id.ok_or_else(|| malformed("number of a configuration"))?;
    if id.term < -1 || id.version < 0 {
        return Err(malformed("number of a configuration"));
    }
    Ok(ConfigId { term: id.term, version: id.version })
}

/// A configuration as it travels and as it lies in the control file.
pub(crate) fn config_to_bytes(config: &SetConfig) -> Result<Vec<u8>, Fault> {
    let doc = bson::RawDocumentBuf::try_from(&config.to_document());
    doc.map(bson::RawDocumentBuf::into_bytes).map_err(|error| Fault::internal(error.to_string()))
}

/// The same back.
pub(crate) fn config(bytes: &[u8]) -> Result<SetConfig, Fault> {
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(malformed("configuration too large"));
    }
    let doc = RawDocument::from_bytes(bytes).map_err(|_| malformed("configuration"))?;
    let has_id =
        doc.get_document("settings").is_ok_and(|settings| settings.get_object_id("replicaSetId").is_ok());
    if !has_id {
        return Err(malformed("configuration without an id"));
    }
    SetConfig::parse(doc, ObjectId::from_bytes([0; 12]))
}

fn state(number: u32) -> Result<State, Fault> {
    Ok(match number {
        0 => State::Startup,
        1 => State::Primary,
        2 => State::Secondary,
        5 => State::Startup2,
        7 => State::Arbiter,
        9 => State::Rollback,
        10 => State::Removed,
        _ => return Err(malformed("state")),
    })
}

fn reason(number: u32) -> Result<Reason, Fault> {
    Ok(match number {
        1 => Reason::ElectionTimeout,
        2 => Reason::PrimaryLost,
        3 => Reason::PriorityTakeover,
        4 => Reason::CatchUpTakeover,
        5 => Reason::StepUp,
        _ => return Err(malformed("reason")),
    })
}

fn reason_to_proto(reason: Reason) -> u32 {
    match reason {
        Reason::ElectionTimeout => 1,
        Reason::PrimaryLost => 2,
        Reason::PriorityTakeover => 3,
        Reason::CatchUpTakeover => 4,
        Reason::StepUp => 5,
    }
}

fn denial(number: u32) -> Result<Option<Denial>, Fault> {
    Ok(Some(match number {
        0 => return Ok(None),
        1 => Denial::OldTerm,
        2 => Denial::OldConfig,
        3 => Denial::Stale,
        4 => Denial::AlreadyVoted,
        5 => Denial::PrimaryHeard,
        _ => return Err(malformed("denial")),
    }))
}

fn denial_to_proto(denial: Option<Denial>) -> u32 {
    match denial {
        None => 0,
        Some(Denial::OldTerm) => 1,
        Some(Denial::OldConfig) => 2,
        Some(Denial::Stale) => 3,
        Some(Denial::AlreadyVoted) => 4,
        Some(Denial::PrimaryHeard) => 5,
    }
}

fn heartbeat_to_proto(sent: u64, status: &Status) -> pb::Heartbeat {
    pb::Heartbeat {
        sent,
        state: status.state as u32,
        primary: status.primary,
        position: position_to_proto(status.position),
        commit_point: op_time_to_proto(status.commit_point),
        config: config_id_to_proto(status.config),
        source: status.source,
    }
}

fn heartbeat(heartbeat: pb::Heartbeat) -> Result<(u64, Status), Fault> {
    let status = Status {
        state: state(heartbeat.state)?,
        primary: heartbeat.primary,
        position: position(heartbeat.position)?,
        commit_point: op_time(heartbeat.commit_point)?,
        config: config_id(heartbeat.config)?,
        source: heartbeat.source,
    };
    Ok((heartbeat.sent, status))
}

/// A message for the wire; `sender` goes with the first one of a stream.
pub(crate) fn message_to_proto(message: &Message, sender: Option<&Sender>) -> Result<pb::CoreMessage, Fault> {
    let body = match &message.body {
        Body::Heartbeat { sent, status } => PbBody::Heartbeat(heartbeat_to_proto(*sent, status)),
        Body::HeartbeatReply { sent, status } => PbBody::HeartbeatReply(heartbeat_to_proto(*sent, status)),
        Body::VoteRequest(request) => PbBody::VoteRequest(pb::VoteRequest {
            dry_run: request.dry_run,
            election: request.election,
            last: op_time_to_proto(request.last),
            config: config_id_to_proto(request.config),
            reason: reason_to_proto(request.reason),
        }),
        Body::VoteReply(reply) => PbBody::VoteReply(pb::VoteReply {
            dry_run: reply.dry_run,
            election: reply.election,
            refused: denial_to_proto(reply.refused),
            last: op_time_to_proto(reply.last),
        }),
        Body::KeepAlive { commit_point, config } => PbBody::KeepAlive(pb::KeepAlive {
            commit_point: op_time_to_proto(*commit_point),
            config: config_id_to_proto(*config),
        }),
        Body::Positions(positions) => PbBody::Positions(pb::Positions {
            positions: positions
                .iter()
                .map(|(member, position)| pb::MemberPosition {
                    member: *member,
                    position: position_to_proto(*position),
                })
                .collect(),
        }),
        Body::StepUp => PbBody::StepUp(pb::StepUp {}),
        Body::Config(config) => PbBody::Config(config_to_bytes(config)?.into()),
    };
    Ok(pb::CoreMessage {
        sender: sender.map(sender_to_proto),
        from: message.from,
        term: message.term,
        body: Some(body),
    })
}

/// A message off the wire.
///
/// # Errors
/// `ProtocolError` (17), or what is wrong with a configuration.
pub(crate) fn message(message: pb::CoreMessage) -> Result<Message, Fault> {
    if message.term < 0 {
        return Err(malformed("term"));
    }
    let body = match message.body.ok_or_else(|| malformed("empty"))? {
        PbBody::Heartbeat(sent) => {
            let (sent, status) = heartbeat(sent)?;
            Body::Heartbeat { sent, status }
        }
        PbBody::HeartbeatReply(sent) => {
            let (sent, status) = heartbeat(sent)?;
            Body::HeartbeatReply { sent, status }
        }
        PbBody::VoteRequest(request) if !is_of_term(&request, message.term) => {
            return Err(malformed("term of an election"));
        }
        PbBody::VoteRequest(request) => Body::VoteRequest(VoteRequest {
            dry_run: request.dry_run,
            election: request.election,
            last: op_time(request.last)?,
            config: config_id(request.config)?,
            reason: reason(request.reason)?,
        }),
        PbBody::VoteReply(reply) => Body::VoteReply(VoteReply {
            dry_run: reply.dry_run,
            election: reply.election,
            refused: denial(reply.refused)?,
            last: op_time(reply.last)?,
        }),
        PbBody::KeepAlive(alive) => {
            Body::KeepAlive { commit_point: op_time(alive.commit_point)?, config: config_id(alive.config)? }
        }
        PbBody::Positions(positions) => {
            if positions.positions.len() > MEMBERS_MAX {
                return Err(malformed("more positions than there are members"));
            }
            let each = positions.positions.into_iter().map(|one| Ok((one.member, position(one.position)?)));
            Body::Positions(each.collect::<Result<_, Fault>>()?)
        }
        PbBody::StepUp(pb::StepUp {}) => Body::StepUp,
        PbBody::Config(bytes) => Body::Config(Arc::new(config(&bytes)?)),
    };
    Ok(Message { from: message.from, term: message.term, body })
}

/// A candidate is in the term that it asks for, or would be in the next.
fn is_of_term(request: &pb::VoteRequest, term: i64) -> bool {
    Some(request.election) == term.checked_add(i64::from(request.dry_run))
}

/// A verdict for the wire; one that says that nobody could be asked is not sent.
/// `last` is the end of the log at that moment.
pub(crate) fn verdict_to_proto(verdict: Verdict, last: OpTime, log_bytes: u64) -> Option<pb::Verdict> {
    use pb::verdict::Kind;
    let (kind, at) = match verdict {
        Verdict::Found => (Kind::Found, last),
        Verdict::Diverged { last } => (Kind::Diverged, last),
        Verdict::TooOld { first } => (Kind::TooOld, first),
        Verdict::Failed => return None,
    };
    Some(pb::Verdict { kind: kind.into(), at: op_time_to_proto(at), log_bytes })
}

/// The verdict, and the place that it names: of [`Verdict::Found`] the end of the log.
pub(crate) fn verdict(verdict: &pb::Verdict) -> Result<(Verdict, OpTime), Fault> {
    use pb::verdict::Kind;
    let at = op_time(verdict.at)?;
    let verdict = match Kind::try_from(verdict.kind).map_err(|_| malformed("verdict"))? {
        Kind::Found => Verdict::Found,
        Kind::Diverged => Verdict::Diverged { last: at },
        Kind::TooOld => Verdict::TooOld { first: at },
    };
    Ok((verdict, at))
}

pub(crate) fn record_to_proto(record: LogRecord) -> pb::LogRecord {
    pb::LogRecord { at: op_time_to_proto(record.at), entry: record.entry, side: record.side }
}

/// Records later than `after`, rising.
pub(crate) fn records(records: Vec<pb::LogRecord>, after: OpTime) -> Result<Vec<LogRecord>, Fault> {
    let mut last = after;
    let each = records.into_iter().map(|record| {
        let at = op_time(record.at)?;
        if at <= last {
            return Err(malformed("records out of order"));
        }
        if record.entry.len() + record.side.len() > RECORD_BYTES_MAX {
            return Err(malformed("record too large"));
        }
        last = at;
        Ok(LogRecord { at, entry: record.entry, side: record.side })
    });
    each.collect()
}

/// Places, latest first, all before `before`.
pub(crate) fn op_times(places: Vec<pb::OpTime>, before: Option<OpTime>) -> Result<Vec<OpTime>, Fault> {
    let mut bound = before;
    let each = places.into_iter().map(|place| {
        let place = op_time(Some(place))?;
        if bound.is_some_and(|bound| place >= bound) {
            return Err(malformed("places out of order"));
        }
        bound = Some(place);
        Ok(place)
    });
    each.collect()
}

pub(crate) fn range_to_proto(range: &KeyRange) -> pb::KeyRange {
    pb::KeyRange {
        uuid: Bytes::copy_from_slice(&range.uuid.0),
        from: range.from.clone(),
        to: range.to.clone().unwrap_or_default(),
    }
}

pub(crate) fn range(range: Option<pb::KeyRange>) -> Result<KeyRange, Fault> {
    let range = range.ok_or_else(|| malformed("range"))?;
    let uuid: [u8; 16] = range.uuid.as_ref().try_into().map_err(|_| malformed("uuid of a range"))?;
    let to = (!range.to.is_empty()).then_some(range.to);
    Ok(KeyRange { uuid: Uuid(uuid), from: range.from, to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::MemberConfig;
    use prost::Message as _;

    fn at(term: i64, ts: u64) -> OpTime {
        OpTime { ts: Timestamp(ts), term }
    }

    fn status() -> Status {
        Status {
            state: State::Secondary,
            primary: Some(0),
            position: Position { applied: at(3, 9), durable: at(3, 7) },
            commit_point: at(2, 5),
            config: ConfigId { term: -1, version: 10_001 },
            source: None,
        }
    }

    fn bodies() -> Vec<Body> {
        let members = vec![MemberConfig::new(0, "a:1"), MemberConfig::new(7, "b:2")];
        let mut config = SetConfig::of("rs", members, false, ObjectId::from_bytes([7; 12]));
        config.members[1].newly_added = true;
        config.members[1].tags = bson::doc! { "dc": "x" };
        let mut bodies = vec![
            Body::Heartbeat { sent: 17, status: status() },
            Body::HeartbeatReply { sent: 0, status: Status { primary: None, source: Some(3), ..status() } },
            Body::KeepAlive { commit_point: at(-1, 0), config: ConfigId { term: 1, version: 1 } },
            Body::Positions(vec![
                (1, Position { applied: at(1, 2), durable: at(1, 1) }),
                (2, Position::default()),
            ]),
            Body::StepUp,
            Body::Config(Arc::new(config)),
        ];
        for number in 1..=5 {
            bodies.push(Body::VoteRequest(VoteRequest {
                dry_run: number % 2 == 0,
                election: if number % 2 == 0 { 5 } else { 4 },
                last: at(3, 9),
                config: ConfigId::NONE,
                reason: reason(number).unwrap(),
            }));
            bodies.push(Body::VoteReply(VoteReply {
                dry_run: false,
                election: 4,
                refused: denial(number - 1).unwrap(),
                last: at(3, 8),
            }));
        }
        for number in [0, 1, 2, 5, 7, 9, 10] {
            let status = Status { state: state(number).unwrap(), ..status() };
            bodies.push(Body::Heartbeat { sent: 1, status });
        }
        bodies
    }

    #[test]
    fn every_message_comes_back_as_it_went() {
        let who = Sender {
            set: "rs".to_owned(),
            replica_set_id: Some(ObjectId::from_bytes([7; 12])),
            host: "a:1".to_owned(),
            to: "b:2".to_owned(),
        };
        for body in bodies() {
            let sent = Message { from: 7, term: 4, body };
            let bytes = message_to_proto(&sent, Some(&who)).unwrap().encode_to_vec();
            let read = pb::CoreMessage::decode(bytes.as_slice()).unwrap();
            assert_eq!(sender(read.sender.clone()).unwrap(), who);
            assert_eq!(message(read).unwrap(), sent);
        }
    }

    #[test]
    fn cut_and_broken_messages_are_refused_and_never_panic() {
        for body in bodies() {
            let bytes = message_to_proto(&Message { from: 7, term: 4, body }, None).unwrap().encode_to_vec();
            for end in 0..bytes.len() {
                if let Ok(read) = pb::CoreMessage::decode(&bytes[..end]) {
                    message(read).ok();
                }
                let mut broken = bytes.clone();
                broken[end] ^= 0x55;
                if let Ok(read) = pb::CoreMessage::decode(broken.as_slice()) {
                    message(read).ok();
                }
            }
        }
        let empty = pb::CoreMessage { sender: None, from: 0, term: 0, body: None };
        assert_eq!(message(empty.clone()).unwrap_err().code, Code::ProtocolError);
        let step_up = Some(PbBody::StepUp(pb::StepUp {}));
        assert!(message(pb::CoreMessage { term: -1, body: step_up, ..empty.clone() }).is_err());
        let positions =
            vec![pb::MemberPosition { member: 0, position: position_to_proto(Position::default()) }; 51];
        let body = Some(PbBody::Positions(pb::Positions { positions }));
        assert!(message(pb::CoreMessage { body, ..empty.clone() }).is_err());
        let body = Some(PbBody::Config(Bytes::from_static(b"\x05\0\0\0\0")));
        assert!(message(pb::CoreMessage { body, ..empty }).is_err());
    }

    #[test]
    fn records_rise() {
        let record =
            |ts| record_to_proto(LogRecord { at: at(1, ts), entry: Bytes::new(), side: Bytes::new() });
        assert_eq!(records(vec![record(2), record(3)], at(1, 1)).unwrap().len(), 2);
        for bad in [vec![record(1)], vec![record(3), record(2)], vec![record(2), record(2)]] {
            assert!(records(bad, at(1, 1)).is_err());
        }
    }

    #[test]
    fn verdicts_and_ranges_come_back() {
        for sent in
            [Verdict::Found, Verdict::Diverged { last: at(2, 3) }, Verdict::TooOld { first: at(1, 9) }]
        {
            assert_eq!(verdict(&verdict_to_proto(sent, at(2, 3), 7).unwrap()).unwrap().0, sent);
        }
        for to in [None, Some(Bytes::from_static(b"z"))] {
            let sent = KeyRange { uuid: Uuid([3; 16]), from: Bytes::from_static(b"a"), to };
            assert_eq!(range(Some(range_to_proto(&sent))).unwrap(), sent);
        }
    }
}
