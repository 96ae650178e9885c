// Structured events: what a broker says about its own roles and state.
//
// Triggers of the fault injector, the simulator's invariants and the lanes of the report read these, so kinds and
// field names are a contract (docs/formats.md lists them). One event is one JSON line in the real world:
//   {"t":<monotonic ns>,"n":<node>,"k":"partition.leader","topic":"t","partition":0,"leader_epoch":5}
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace ordeal {

enum class Severity : std::uint8_t { debug, info, warn, error };

struct TraceField {
  std::string_view key;
  std::variant<std::int64_t, std::string_view> value;
  TraceField(std::string_view name, std::int64_t number) : key(name), value(number) {}
  TraceField(std::string_view name, std::string_view text) : key(name), value(text) {}
};

class TraceSink {
 public:
  virtual ~TraceSink() = default;
  // Never blocks: a bounded sink drops and counts, and says how many it dropped in a later `trace.dropped` event.
  // `kind` and the views live only for the call.
  virtual void emit(Severity severity, std::string_view kind, std::initializer_list<TraceField> fields) = 0;

  void debug(std::string_view kind, std::initializer_list<TraceField> fields) { emit(Severity::debug, kind, fields); }
  void info(std::string_view kind, std::initializer_list<TraceField> fields) { emit(Severity::info, kind, fields); }
  void warn(std::string_view kind, std::initializer_list<TraceField> fields) { emit(Severity::warn, kind, fields); }
  void error(std::string_view kind, std::initializer_list<TraceField> fields) { emit(Severity::error, kind, fields); }
};

// For tests and tools that do not care.
class NullTrace final : public TraceSink {
 public:
  void emit(Severity, std::string_view, std::initializer_list<TraceField>) override {}
};

}  // namespace ordeal
