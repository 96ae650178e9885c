// Collects what the simulated nodes say about themselves, and hands each event on the spot to invariants and triggers.
//
// One TraceLog per world; one NodeTrace per incarnation of a node, muted before a killed node's frames are destroyed
// so that destructors cannot claim things a crashed process would never have said.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "broker/base/trace.h"
#include "broker/base/types.h"
#include "faults/sim/sim_executor.h"

namespace ordeal::sim {

struct TraceEvent {
  Instant at{};
  WallMs wall_ms = 0;
  NodeId node = kNoNode;
  Severity severity = Severity::info;
  std::string kind;
  std::vector<std::pair<std::string, std::variant<std::int64_t, std::string>>> fields;

  std::optional<std::int64_t> number(std::string_view key) const;
  std::optional<std::string> text(std::string_view key) const;  // text fields only
  std::string to_json() const;                                  // one line, the format of a broker's trace file
};

class TraceLog {
 public:
  explicit TraceLog(SimLoop& loop) : loop_(loop) {}
  void add(TraceEvent event);
  // Called inside the emitting task: observers must not kill the emitting node directly.
  void observe(std::function<void(const TraceEvent&)> observer) { observers_.push_back(std::move(observer)); }
  void keep(bool keep) { keep_ = keep; }  // off saves memory in long campaigns
  const std::vector<TraceEvent>& events() const { return events_; }

 private:
  SimLoop& loop_;
  bool keep_ = true;
  std::vector<TraceEvent> events_;
  std::vector<std::function<void(const TraceEvent&)>> observers_;
};

class NodeTrace final : public TraceSink {
 public:
  NodeTrace(TraceLog& log, SimScheduler& scheduler, NodeId node) : log_(log), scheduler_(scheduler), node_(node) {}
  void emit(Severity severity, std::string_view kind, std::initializer_list<TraceField> fields) override;
  void mute() { muted_ = true; }

 private:
  TraceLog& log_;
  SimScheduler& scheduler_;
  NodeId node_;
  bool muted_ = false;
};

}  // namespace ordeal::sim
