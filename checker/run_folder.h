// A trial's folder as input: trial.json, faults.jsonl, nodes/*/trace.jsonl, history/*.ohist.
//
// A line that the writer's death cut short is expected at the end of a file; a wrong line before it is damage, and
// damage is the harness' failure (exit 3), never a pass. Broker traces are different: brokers are killed all the time
// and begin again in the same file, so what can be read around a torn line is read.
#pragma once

#include <string>

#include "checker/check.h"

namespace ordeal::checker {

// Errors: not_found (no such folder, no trial.json), corrupt and unsupported with file and line.
Result<Context> read_context(const std::string& folder);

// From the text of each file; `name` for errors. For tests and for callers without a folder.
Status parse_trial(const std::string& text, const std::string& name, Context& into, std::string& world);
Result<std::vector<FaultEvent>> parse_faults(const std::string& text, const std::string& name,
                                             std::vector<std::string>& gaps);
std::vector<TraceEvent> parse_trace(const std::string& text);

// Whole or not at all: written beside and renamed.
Status write_file(const std::string& path, const std::string& text);

}  // namespace ordeal::checker
