// The judge's front door: a history and what is known about the trial go in, a verdict comes out.
//
// Pure: no clock, no file, no global; the simulator calls it on in-memory histories, ordeal-check on run folders.
// Soundness rules: docs/checker.md. It never looks at broker code, only at what clients saw and what the log holds.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "workloads/history/history.h"

namespace ordeal::checker {

enum class Acks : std::uint8_t { none, leader, all };

// What the clients and brokers really ran with. Defaults are Kafka's.
struct Settings {
  Acks acks = Acks::all;
  bool idempotence = true;
  bool retries = true;         // attempts may be repeated
  bool one_in_flight = false;  // max.in.flight.requests.per.connection == 1
  bool fsync = false;          // log.flush.interval.messages == 1
  bool unclean = false;        // unclean.leader.election.enable
  bool read_committed = true;
  bool subscribe = false;     // consumers use groups
  bool reset_latest = false;  // auto.offset.reset=latest
  bool retention = false;     // retention or DeleteRecords can remove records within the run
  bool compaction = false;
  std::int32_t min_isr = 1;
  std::int32_t replication = 3;
};

// From a map under Kafka's names (docs/formats/trial.md). invalid_argument names the key and the value.
Result<Settings> parse_settings(const std::map<std::string, std::string>& config);

// One line of faults.jsonl, or the simulator's equal. `body` holds all fields.
struct FaultEvent {
  std::uint64_t t_ns = 0;
  std::string event;  // "fault.begin", "fault.heal", "node.exit", ...
  std::string id;     // "f3"; empty for events that are no fault's
  nlohmann::json body;
};

// One line of a broker's trace.jsonl. `body` holds all fields ("topic", "partition", "leader_epoch", "isr", ...).
struct TraceEvent {
  std::uint64_t t_ns = 0;
  std::int32_t node = -1;
  std::string kind;  // "partition.leader"
  nlohmann::json body;
};

struct Context {
  std::string run_id;
  std::string promise_set = "declared";
  Settings settings;
  std::vector<FaultEvent> faults;  // any order
  bool faults_known = true;        // false: nobody recorded faults, so anything may have happened
  std::vector<TraceEvent> traces;  // any order
  std::uint64_t min_faults = 0;
  std::vector<std::string> required_faults;
  std::vector<std::int32_t> nodes;  // broker ids, if known beyond the traces
  // Why the harness' own records are incomplete ("faults.jsonl ends before nemesis.stop"); each makes the verdict
  // unknown at best.
  std::vector<std::string> harness_gaps;
};

enum class Promise : std::uint8_t { promised, allowed, not_judged };
enum class Standing : std::uint8_t { held, violated, allowed, unknown };
enum class Outcome : std::uint8_t { pass, fail, unknown };

// One operation of a witness, whole: what a reader of the report needs to see.
struct Operation {
  std::string writer;  // the history file's writer
  std::uint16_t process = 0;
  history::Function function = history::Function::send;
  history::Type type = history::Type::ok;
  std::uint64_t time_ns = 0;
  TopicPartition where;
  Offset offset = kNoOffset;
  std::uint64_t value = history::kNoValue;
  LeaderEpoch leader_epoch = kNoEpoch;
  std::int32_t error_code = 0;
  std::string error;  // "REQUEST_TIMED_OUT: ..." for fail and info; a foreign payload's reason for reads
};

struct LogRecord {  // one side of "what stands there now"
  Offset offset = kNoOffset;
  std::uint64_t value = history::kNoValue;
  LeaderEpoch leader_epoch = kNoEpoch;
  std::string where;  // "audit of t-0", "read by consumer-1"
};

struct Violation {
  std::string property;
  Standing status = Standing::violated;  // violated, or allowed (shown, not red)
  std::string title;
  std::vector<std::string> story;
  std::vector<Operation> operations;
  std::vector<LogRecord> records;
  std::vector<std::string> faults;    // ids active between from_ns and to_ns
  std::vector<nlohmann::json> trace;  // raw events around it
  std::uint64_t from_ns = 0;
  std::uint64_t to_ns = 0;
};

struct Property {
  std::string name;   // "lost-write"
  std::string title;  // "no acknowledged write is lost"
  Promise promised = Promise::promised;
  Standing status = Standing::held;
  std::uint64_t count = 0;     // occurrences found, allowed ones included
  std::uint64_t violated = 0;  // of these, how many break a promise
  std::string why;
  std::optional<std::size_t> first_violation;  // index into Verdict::violations
};

struct Counts {
  std::uint64_t operations = 0;  // sends, polls, reads, list_ends, audited records: completed or not
  std::uint64_t sends_ok = 0, sends_fail = 0, sends_info = 0;
  std::uint64_t info_landed = 0, info_absent = 0;
  std::uint64_t reads = 0, polls = 0, audited = 0;
  std::uint64_t partitions = 0, partitions_drained = 0;
  std::uint64_t faults_acted = 0;
};

struct Verdict {
  Outcome outcome = Outcome::unknown;
  std::string run_id;
  std::string sentence;              // one line for people
  std::vector<std::string> reasons;  // why fail or unknown, one each; notes about the evidence
  std::string promise_set;
  std::vector<Property> properties;   // in the order of the guarantee table
  std::vector<Violation> violations;  // at most a few per property; Property::count has the truth
  Counts counts;

  const Property* find(std::string_view property) const;  // nullptr if it was not judged at all
};

struct Options {
  std::size_t max_witnesses = 8;  // violations spelled out per property
  unsigned threads = 2;
};

// Errors are the harness': value ids that are not dense, objects out of range. invalid_argument for an unknown set.
Result<Verdict> check(const history::History& history, const Context& context, const Options& options = {});

nlohmann::json to_json(const Verdict& verdict);  // verdict.json
nlohmann::json aggregates(const history::History& history, const Context& context,
                          std::size_t buckets = 240);  // aggregates.json
std::string summary(const Verdict& verdict);           // the PASS/FAIL block
int exit_code(Outcome outcome);                        // 0, 1, 2

}  // namespace ordeal::checker
