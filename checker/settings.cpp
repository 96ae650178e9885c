// Kafka's setting names to the few facts the matrix asks for.
#include <charconv>

#include "checker/check.h"
#include "checker/settings.h"

namespace ordeal::checker {
namespace {

std::unexpected<Error> bad(const std::string& key, const std::string& value) {
  return fail(Errc::invalid_argument, "setting " + key + " cannot be \"" + value + "\"");
}

bool parse_int(const std::string& text, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_bool(const std::string& text, bool& out) {
  out = text == "true" || text == "1";
  return out || text == "false" || text == "0";
}

}  // namespace

Status parse_setting(const std::string& key, const std::string& value, Settings& out) {
  std::int64_t number = 0;
  if (key == "acks" || key == "request.required.acks") {
    if (value == "all" || value == "-1")
      out.acks = Acks::all;
    else if (value == "1")
      out.acks = Acks::leader;
    else if (value == "0")
      out.acks = Acks::none;
    else
      return bad(key, value);
  } else if (key == "enable.idempotence") {
    if (!parse_bool(value, out.idempotence)) return bad(key, value);
  } else if (key == "unclean.leader.election.enable") {
    if (!parse_bool(value, out.unclean)) return bad(key, value);
  } else if (key == "log.retention.acts") {
    if (!parse_bool(value, out.retention)) return bad(key, value);
  } else if (key == "retries" || key == "message.send.max.retries") {
    if (!parse_int(value, number) || number < 0) return bad(key, value);
    out.retries = number > 0;
  } else if (key == "max.in.flight.requests.per.connection" || key == "max.in.flight") {
    if (!parse_int(value, number) || number < 1) return bad(key, value);
    out.one_in_flight = number == 1;
  } else if (key == "replication.factor" || key == "default.replication.factor") {
    if (!parse_int(value, number) || number < 1) return bad(key, value);
    out.replication = static_cast<std::int32_t>(number);
  } else if (key == "min.insync.replicas") {
    if (!parse_int(value, number) || number < 1) return bad(key, value);
    out.min_isr = static_cast<std::int32_t>(number);
  } else if (key == "log.flush.interval.messages") {
    if (!parse_int(value, number)) return bad(key, value);
    out.fsync = number == 1;
  } else if (key == "isolation.level") {
    if (value != "read_committed" && value != "read_uncommitted") return bad(key, value);
    out.read_committed = value == "read_committed";
  } else if (key == "consumer.mode") {
    if (value != "assign" && value != "subscribe") return bad(key, value);
    out.subscribe = value == "subscribe";
  } else if (key == "auto.offset.reset") {
    out.reset_latest = value == "latest" || value == "largest" || value == "end";
  } else if (key == "log.cleanup.policy" || key == "cleanup.policy") {
    out.compaction = value.find("compact") != std::string::npos;
  }
  return {};
}

Result<Settings> parse_settings(const std::map<std::string, std::string>& config) {
  Settings out;
  for (const auto& [key, value] : config) ORDEAL_TRY(parse_setting(key, value, out));
  return out;
}

Result<Settings> weakest(const Settings& declared, const std::map<std::string, std::string>& client,
                         std::vector<std::string>& notes, const std::string& who) {
  Settings own = declared;
  for (const auto& [key, value] : client)
    if (const auto parsed = parse_setting(key, value, own); !parsed) return fail(parsed.error().at(who));
  Settings out = declared;
  const auto note = [&](const char* what) {
    notes.push_back(who + " ran with a weaker setting than declared: " + what + "; the weaker one is judged");
  };
  if (own.acks < out.acks) out.acks = own.acks, note("acks");
  if (!own.idempotence && out.idempotence) out.idempotence = false, note("enable.idempotence=false");
  if (own.retries && !out.retries) out.retries = true, note("retries are on");
  if (!own.one_in_flight && out.one_in_flight) out.one_in_flight = false, note("several requests in flight");
  if (!own.read_committed && out.read_committed) out.read_committed = false, note("isolation.level=read_uncommitted");
  if (own.subscribe && !out.subscribe) out.subscribe = true, note("consumer.mode=subscribe");
  if (own.reset_latest && !out.reset_latest) out.reset_latest = true, note("auto.offset.reset=latest");
  return out;
}

}  // namespace ordeal::checker
