#include "faults/sim/sim_trace.h"

#include <nlohmann/json.hpp>

namespace ordeal::sim {

namespace {
const char* severity_name(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return "debug";
    case Severity::info:
      return "info";
    case Severity::warn:
      return "warn";
    case Severity::error:
      return "error";
  }
  return "error";
}
}  // namespace

std::optional<std::int64_t> TraceEvent::number(std::string_view key) const {
  for (const auto& [name, value] : fields)
    if (name == key && std::holds_alternative<std::int64_t>(value)) return std::get<std::int64_t>(value);
  return std::nullopt;
}

std::optional<std::string> TraceEvent::text(std::string_view key) const {
  for (const auto& [name, value] : fields)
    if (name == key && std::holds_alternative<std::string>(value)) return std::get<std::string>(value);
  return std::nullopt;
}

std::string TraceEvent::to_json() const {
  nlohmann::ordered_json line;
  line["t"] = at.time_since_epoch().count();
  line["w"] = wall_ms;
  line["n"] = node;
  line["s"] = severity_name(severity);
  line["k"] = kind;
  for (const auto& [name, value] : fields) std::visit([&, key = name](const auto& v) { line[key] = v; }, value);
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void TraceLog::add(TraceEvent event) {
  Digest& digest = loop_.digest();
  digest.note("trace", event.at, static_cast<std::uint64_t>(event.node), std::string_view(event.kind));
  for (const auto& [name, value] : event.fields) {
    digest.mix(std::string_view(name));
    if (const auto* number = std::get_if<std::int64_t>(&value)) digest.mix(static_cast<std::uint64_t>(*number));
    if (const auto* text = std::get_if<std::string>(&value)) digest.mix(std::string_view(*text));
  }
  for (const auto& observer : observers_) observer(event);
  if (keep_) events_.push_back(std::move(event));
}

void NodeTrace::emit(Severity severity, std::string_view kind, std::initializer_list<TraceField> fields) {
  if (muted_) return;
  TraceEvent event{scheduler_.loop().now(), scheduler_.wall_ms(), node_, severity, std::string(kind), {}};
  event.fields.reserve(fields.size());
  for (const TraceField& field : fields) {
    if (const auto* number = std::get_if<std::int64_t>(&field.value))
      event.fields.emplace_back(std::string(field.key), *number);
    else
      event.fields.emplace_back(std::string(field.key), std::string(std::get<std::string_view>(field.value)));
  }
  log_.add(std::move(event));
}

}  // namespace ordeal::sim
