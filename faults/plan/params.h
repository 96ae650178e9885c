// Parameters of the verbs that reach past links and processes: messages, disks, clocks, single links. One table says
// which verb takes what; parser, printer and documentation follow it.
#pragma once

#include "faults/plan/plan.h"
#include "faults/plan/reader.h"

namespace ordeal::plan {

void read_fault_params(Fields& fields, Reader& reader, Verb verb, Params& into);
// Which targets a verb and shape need; fills in the documented defaults.
void check_targets(Reader& reader, const YAML::Node& at, const std::string& path, Verb verb, const Params& params,
                   Targets& on);
void print_fault_params(const Params& params, Verb verb, nlohmann::json& into);

}  // namespace ordeal::plan
