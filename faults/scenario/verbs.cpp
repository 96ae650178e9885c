#include "faults/scenario/verbs.h"

namespace ordeal::scenario {
namespace {

const std::vector<std::string_view> kListeners{"client", "replication", "control"};

std::vector<Field> message_fields(bool hold) {
  std::vector<Field> fields{{"api", Kind::text, true, {}},         {"reply", Kind::truth, false, {}},
                            {"from", Kind::expression, false, {}}, {"to", Kind::expression, false, {}},
                            {"skip", Kind::integer, false, {}},    {"count", Kind::integer, false, {}}};
  if (hold) fields.push_back({"as", Kind::new_hold, true, {}});
  return fields;
}

std::vector<Field> delay_fields() {
  std::vector<Field> fields = message_fields(false);
  fields.push_back({"by", Kind::duration, true, {}});
  return fields;
}

const std::vector<Field> kLink{{"from", Kind::expression, true, {}},
                               {"to", Kind::expression, true, {}},
                               {"listener", Kind::choice, false, kListeners},
                               {"one_way", Kind::truth, false, {}}};
const std::vector<Field> kAround{{"node", Kind::expression, true, {}},
                                 {"listener", Kind::choice, false, kListeners},
                                 {"clients", Kind::truth, false, {}}};
const std::vector<Field> kDisk{
    {"node", Kind::expression, true, {}},
    {"fault", Kind::choice, true, {"eio", "enospc", "short_write", "stall", "slow", "lie", "flip", "full", "wipe"}},
    {"op",
     Kind::choice,
     false,
     {"open", "read", "write", "sync", "truncate", "rename", "remove", "create_directory", "sync_directory", "list",
      "exists"}},
    {"path", Kind::text, false, {}},
    {"skip", Kind::integer, false, {}},
    {"count", Kind::integer, false, {}},
    {"by", Kind::duration, false, {}},
    {"offset", Kind::expression, false, {}},
    {"bit", Kind::integer, false, {}},
    {"at", Kind::choice, false, {"offset", "value"}}};

}  // namespace

const std::vector<VerbSpec>& verbs() {
  static const std::vector<VerbSpec> table{
      {"run", Kind::duration, {}, {}, {}},
      {"let", Kind::names, {}, {}, {}},
      {"wait",
       Kind::condition,
       {},
       {{"within", Kind::duration, false, {}},
        {"say", Kind::text, false, {}},
        {"every", Kind::choice, false, {"step"}}},
       {}},
      {"expect", Kind::condition, {}, {{"say", Kind::text, false, {}}}, {}},
      {"kill", Kind::expression, {}, {}, {}},
      {"start", Kind::expression, {}, {}, {}},
      {"stop", Kind::expression, {}, {}, {}},
      {"power_cut", Kind::expression, {}, {}, {}},
      {"pause", Kind::expression, {}, {}, {}},
      {"resume", Kind::expression, {}, {}, {}},
      {"crash",
       Kind::expression,
       {},
       {{"call", Kind::integer, false, {}},
        {"kind", Kind::choice, false, {"power", "process"}},
        {"path", Kind::text, false, {}}},
       {}},
      {"cut", Kind::mapping, kLink, {}, {}},
      {"heal", Kind::mapping, kLink, {}, {}},
      {"isolate", Kind::mapping, kAround, {}, {}},
      {"rejoin", Kind::mapping, kAround, {}, {}},
      {"reset",
       Kind::mapping,
       {{"from", Kind::expression, true, {}},
        {"to", Kind::expression, true, {}},
        {"listener", Kind::choice, false, kListeners}},
       {},
       {}},
      {"heal_all", Kind::truth, {}, {}, {}},
      {"delay", Kind::mapping, delay_fields(), {}, {}},
      {"drop", Kind::mapping, message_fields(false), {}, {}},
      {"duplicate", Kind::mapping, message_fields(false), {}, {}},
      {"hold", Kind::mapping, message_fields(true), {}, {}},
      {"release", Kind::hold, {}, {}, {}},
      {"disk", Kind::mapping, kDisk, {}, {}},
      {"disk_heal", Kind::expression, {}, {}, {}},
      {"clock",
       Kind::mapping,
       {{"node", Kind::expression, true, {}},
        {"offset", Kind::expression, false, {}},
        {"drift_ppm", Kind::expression, false, {}}},
       {},
       {}},
      {"clients", Kind::choice, {}, {}, {"on", "off"}},
      {"send",
       Kind::mapping,
       {{"topic", Kind::text, true, {}},
        {"partition", Kind::integer, false, {}},
        {"count", Kind::integer, false, {}},
        {"within", Kind::duration, false, {}},
        {"acks", Kind::choice, false, {"all", "1", "0", "-1"}},
        {"wait", Kind::truth, false, {}}},
       {},
       {}},
      {"make_leader",
       Kind::mapping,
       {{"node", Kind::expression, true, {}}, {"partition", Kind::expression, true, {}}},
       {},
       {}},
      {"elect",
       Kind::mapping,
       {{"partition", Kind::expression, true, {}}, {"unclean", Kind::truth, false, {}}},
       {},
       {}},
      {"alter", Kind::mapping, {{"topic", Kind::text, true, {}}, {"set", Kind::config, true, {}}}, {}, {}},
      {"create",
       Kind::mapping,
       {{"topic", Kind::text, true, {}},
        {"partitions", Kind::integer, false, {}},
        {"replication", Kind::integer, false, {}},
        {"set", Kind::config, false, {}}},
       {},
       {}},
      {"delete", Kind::mapping, {{"topic", Kind::text, true, {}}}, {}, {}},
      {"voters",
       Kind::mapping,
       {{"add", Kind::expression, false, {}},
        {"remove", Kind::expression, false, {}},
        {"via", Kind::expression, false, {}}},
       {{"wait", Kind::truth, false, {}}},
       {}},
      {"repeat", Kind::mapping, {{"times", Kind::expression, true, {}}, {"do", Kind::steps, true, {}}}, {}, {}},
      {"each",
       Kind::mapping,
       {{"in", Kind::expression, true, {}}, {"as", Kind::new_name, true, {}}, {"do", Kind::steps, true, {}}},
       {},
       {}},
      {"if", Kind::condition, {}, {{"then", Kind::steps, true, {}}, {"else", Kind::steps, false, {}}}, {}},
  };
  return table;
}

}  // namespace ordeal::scenario
