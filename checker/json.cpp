// verdict.json, as docs/formats/verdict.md describes it.
#include "checker/check.h"

namespace ordeal::checker {
namespace {

using Json = nlohmann::json;

const char* text(Promise promise) {
  switch (promise) {
    case Promise::promised:
      return "promised";
    case Promise::allowed:
      return "allowed";
    case Promise::not_judged:
      return "not-judged";
  }
  return "?";
}

const char* text(Standing status) {
  switch (status) {
    case Standing::held:
      return "held";
    case Standing::violated:
      return "violated";
    case Standing::allowed:
      return "allowed";
    case Standing::unknown:
      return "unknown";
  }
  return "?";
}

const char* text(Outcome outcome) {
  switch (outcome) {
    case Outcome::pass:
      return "pass";
    case Outcome::fail:
      return "fail";
    case Outcome::unknown:
      return "unknown";
  }
  return "?";
}

Json value_of(std::uint64_t value) {
  if (value == history::kNoValue) return nullptr;
  if (value == history::kForeignValue) return "foreign";
  return value;
}

Json number_or_null(std::int64_t number) { return number < 0 ? Json(nullptr) : Json(number); }

Json operation(const Operation& op) {
  const bool placed = !op.where.topic.empty();
  return {{"writer", op.writer},
          {"process", op.process},
          {"function", history::function_name(op.function)},
          {"type", history::type_name(op.type)},
          {"time_ns", op.time_ns},
          {"topic", placed ? Json(op.where.topic) : Json(nullptr)},
          {"partition", placed ? Json(op.where.partition) : Json(nullptr)},
          {"offset", number_or_null(op.offset)},
          {"value", value_of(op.value)},
          {"leader_epoch", number_or_null(op.leader_epoch)},
          {"error", op.error.empty() ? Json(nullptr) : Json(op.error)}};
}

Json violation(const Violation& in) {
  Json operations = Json::array();
  for (const Operation& op : in.operations) operations.push_back(operation(op));
  Json records = Json::array();
  for (const LogRecord& record : in.records)
    records.push_back({{"offset", number_or_null(record.offset)},
                       {"value", value_of(record.value)},
                       {"leader_epoch", number_or_null(record.leader_epoch)},
                       {"where", record.where}});
  return {{"property", in.property},  {"status", text(in.status)}, {"title", in.title},   {"story", in.story},
          {"operations", operations}, {"records", records},        {"faults", in.faults}, {"trace", in.trace},
          {"from_ns", in.from_ns},    {"to_ns", in.to_ns}};
}

}  // namespace

Json to_json(const Verdict& verdict) {
  Json properties = Json::array();
  for (const Property& property : verdict.properties)
    properties.push_back(
        {{"name", property.name},
         {"title", property.title},
         {"promised", text(property.promised)},
         {"status", text(property.status)},
         {"count", property.count},
         {"violated", property.violated},
         {"why", property.why},
         {"first_violation", property.first_violation ? Json(*property.first_violation) : Json(nullptr)}});
  Json violations = Json::array();
  for (const Violation& one : verdict.violations) violations.push_back(violation(one));
  const Counts& counts = verdict.counts;
  return {{"schema", 1},
          {"run_id", verdict.run_id},
          {"verdict", text(verdict.outcome)},
          {"sentence", verdict.sentence},
          {"reasons", verdict.reasons},
          {"promise_set", verdict.promise_set},
          {"properties", properties},
          {"violations", violations},
          {"counts",
           {{"operations", counts.operations},
            {"sends_ok", counts.sends_ok},
            {"sends_fail", counts.sends_fail},
            {"sends_info", counts.sends_info},
            {"info_landed", counts.info_landed},
            {"info_absent", counts.info_absent},
            {"reads", counts.reads},
            {"polls", counts.polls},
            {"audited", counts.audited},
            {"partitions_drained", counts.partitions_drained},
            {"partitions", counts.partitions},
            {"faults_acted", counts.faults_acted}}}};
}

}  // namespace ordeal::checker
