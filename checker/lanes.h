// The lanes of the report's timeline: what each broker and each partition was doing, from traces and fault events.
#pragma once

#include "checker/evidence.h"

namespace ordeal::checker {

nlohmann::json broker_lanes(const Context& context, const std::vector<FaultSpan>& faults, std::uint64_t t0,
                            std::uint64_t t1);
nlohmann::json partition_lanes(const Context& context, std::uint64_t t0, std::uint64_t t1);
nlohmann::json fault_rows(const std::vector<FaultSpan>& faults);

}  // namespace ordeal::checker
