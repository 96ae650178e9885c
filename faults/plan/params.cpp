#include "faults/plan/params.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "faults/plan/text.h"

namespace ordeal::plan {
namespace {

constexpr std::int64_t kCountMax = 1'000'000'000;
constexpr std::int64_t kPpmMax = 500'000;

constexpr std::pair<std::string_view, MessageAction> kActions[] = {{"delay", MessageAction::delay},
                                                                   {"drop", MessageAction::drop},
                                                                   {"duplicate", MessageAction::duplicate},
                                                                   {"hold", MessageAction::hold}};
constexpr std::string_view kOps[] = {
    "open",           "read", "write", "sync", "truncate", "rename", "remove", "list", "create_directory",
    "sync_directory", "any"};
constexpr std::string_view kErrors[] = {"io", "no_space"};
constexpr std::string_view kChanges[] = {"add", "remove"};

bool is_one_of(Verb verb, std::initializer_list<Verb> list) {
  return std::find(list.begin(), list.end(), verb) != list.end();
}

bool takes_by(Verb verb) { return is_one_of(verb, {Verb::net_delay, Verb::net_message, Verb::disk_slow}); }
bool takes_count(Verb verb) { return verb == Verb::net_message || (is_call_fault(verb) && verb != Verb::disk_full); }
bool takes_op(Verb verb) { return is_one_of(verb, {Verb::disk_eio, Verb::disk_slow, Verb::disk_stall}); }
bool takes_path(Verb verb) { return (is_call_fault(verb) && verb != Verb::disk_full) || verb == Verb::node_crash; }

// One of a few words.
template <class Words>
std::string word(Reader& reader, const YAML::Node& node, const std::string& field, const Words& words) {
  const std::string given = reader.text(node, field);
  if (std::find(std::begin(words), std::end(words), given) == std::end(words))
    reader.complain(node, field,
                    "'" + given.substr(0, 64) + "' is unknown" +
                        suggest(given, std::vector<std::string>(std::begin(words), std::end(words))));
  return given;
}

void read_message(Fields& fields, Reader& reader, Params& into) {
  const auto at = [&](std::string_view key) { return fields.path(key); };
  if (const auto value = fields.get("api")) into.api = reader.text(*value, at("api"));
  if (const auto value = fields.get("reply")) into.reply = reader.boolean(*value, at("reply"));
  if (const auto value = fields.get("action")) {
    std::vector<std::string> names;
    for (const auto& [name, action] : kActions) names.emplace_back(name);
    const std::string given = word(reader, *value, at("action"), names);
    for (const auto& [name, action] : kActions) {
      if (name == given) into.action = action;
    }
  }
}

void read_clock(Fields& fields, Reader& reader, Verb verb, Params& into) {
  const auto at = [&](std::string_view key) { return fields.path(key); };
  if (verb == Verb::clock_jump) {
    if (const auto value = fields.get("offset")) {
      std::string text = reader.text(*value, at("offset"));
      const bool back = text.starts_with("-");
      if (back) text.erase(0, 1);
      if (const auto offset = parse_duration(text))
        into.offset = back ? -*offset : *offset;
      else
        reader.complain(*value, at("offset"), offset.error().text);
    }
  }
  if (verb == Verb::clock_drift) {
    if (const auto value = fields.get("ppm")) into.ppm = reader.integer(*value, at("ppm"), -kPpmMax, kPpmMax);
    if (const auto value = fields.get("timers")) into.timers = reader.boolean(*value, at("timers"));
  }
}

void read_request(Fields& fields, Reader& reader, Verb verb, Params& into) {
  const auto at = [&](std::string_view key) { return fields.path(key); };
  if (verb == Verb::partition_elect) {
    if (const auto value = fields.get("unclean")) into.unclean = reader.boolean(*value, at("unclean"));
  }
  if (verb == Verb::quorum_voters) {
    if (const auto value = fields.get("change")) into.remove = word(reader, *value, at("change"), kChanges) == "remove";
  }
  if (verb != Verb::topic_set) return;
  if (const auto value = fields.get("topic")) into.topic = reader.text(*value, at("topic"));
  const auto value = fields.get("set");
  if (!value) return;
  if (!value->IsMap()) {
    reader.complain(*value, at("set"), "a mapping such as {retention.ms: 1000} is expected");
    return;
  }
  for (const auto& entry : *value) {
    into.set.emplace_back(reader.text(entry.first, at("set")), reader.text(entry.second, at("set")));
  }
}

}  // namespace

void read_fault_params(Fields& fields, Reader& reader, Verb verb, Params& into) {
  const auto at = [&](std::string_view key) { return fields.path(key); };
  const auto count = [&](const YAML::Node& node, std::string_view key, std::int64_t low) {
    return static_cast<std::uint64_t>(reader.integer(node, at(key), low, kCountMax));
  };
  if (takes_by(verb)) {
    if (const auto value = fields.get("by")) into.by = reader.duration(*value, at("by"));
  }
  if (verb == Verb::net_delay) {
    if (const auto value = fields.get("jitter")) into.jitter = reader.duration(*value, at("jitter"));
  }
  if (verb == Verb::net_reset) {
    if (const auto value = fields.get("one_in")) into.one_in = count(*value, "one_in", 0);
  }
  if (verb == Verb::net_message) read_message(fields, reader, into);
  if (takes_op(verb)) {
    if (const auto value = fields.get("op")) into.op = word(reader, *value, at("op"), kOps);
  }
  if (takes_path(verb)) {
    if (const auto value = fields.get("path")) into.path = reader.text(*value, at("path"));
  }
  if (takes_count(verb)) {
    if (const auto value = fields.get("skip")) into.skip = count(*value, "skip", 0);
    if (const auto value = fields.get("count")) into.count = count(*value, "count", 1);
  }
  if (is_one_of(verb, {Verb::disk_eio, Verb::disk_short_write})) {
    if (const auto value = fields.get("error"))
      into.no_space = word(reader, *value, at("error"), kErrors) == "no_space";
  }
  if (verb == Verb::disk_full) {
    if (const auto value = fields.get("room")) into.room = count(*value, "room", 0);
  }
  if (verb == Verb::disk_bitflip) {
    if (const auto value = fields.get("transient")) into.transient = reader.boolean(*value, at("transient"));
  }
  read_clock(fields, reader, verb, into);
  read_request(fields, reader, verb, into);
}

void print_fault_params(const Params& params, Verb verb, nlohmann::json& into) {
  const Params none;
  if (takes_by(verb) && params.by != none.by) into["by"] = format_duration(params.by);
  if (verb == Verb::net_delay && params.jitter != none.jitter) into["jitter"] = format_duration(params.jitter);
  if (verb == Verb::net_reset && params.one_in != none.one_in) into["one_in"] = params.one_in;
  if (verb == Verb::net_message) {
    if (!params.api.empty()) into["api"] = params.api;
    if (params.reply) into["reply"] = true;
    into["action"] = kActions[static_cast<std::size_t>(params.action)].first;
  }
  if (takes_op(verb) && !params.op.empty()) into["op"] = params.op;
  if (takes_path(verb) && !params.path.empty()) into["path"] = params.path;
  if (takes_count(verb)) {
    if (params.skip != 0) into["skip"] = params.skip;
    if (params.count) into["count"] = *params.count;
  }
  if (is_one_of(verb, {Verb::disk_eio, Verb::disk_short_write}) && params.no_space) into["error"] = "no_space";
  if (verb == Verb::disk_full && params.room != 0) into["room"] = params.room;
  if (verb == Verb::disk_bitflip && params.transient) into["transient"] = true;
  if (verb == Verb::clock_jump) {
    const bool back = params.offset < Duration::zero();
    into["offset"] = (back ? "-" : "") + format_duration(back ? -params.offset : params.offset);
  }
  if (verb == Verb::clock_drift) {
    into["ppm"] = params.ppm;
    if (params.timers) into["timers"] = true;
  }
  if (verb == Verb::partition_elect && params.unclean) into["unclean"] = true;
  if (verb == Verb::quorum_voters) into["change"] = params.remove ? "remove" : "add";
  if (verb == Verb::topic_set) {
    if (!params.topic.empty()) into["topic"] = params.topic;
    for (const auto& [key, value] : params.set) into["set"][key] = value;
  }
}

}  // namespace ordeal::plan
