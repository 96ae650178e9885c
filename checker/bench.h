// Large histories on demand, for figures and for tests: several producers with pipelines over several partitions, some
// sends without an outcome, consumers that poll, an auditor that reads everything. Correct by construction.
#pragma once

#include <string>

#include "broker/base/result.h"
#include "workloads/history/writer.h"

namespace ordeal::checker {

struct GeneratorOptions {
  std::uint64_t operations = 1'000'000;  // about a third sends, a third reads, a third audited records
  std::uint16_t partitions = 24;
  std::uint16_t producers = 8;
  std::uint16_t consumers = 4;
  std::uint64_t seed = 1;
};

// Writes history files into `folder` (which exists).
Status generate_history(const std::string& folder, const GeneratorOptions& options);

// Prints the figures for one size; `json` for machines. Uses a folder under `temp`, removed afterwards.
Status run_bench(std::uint64_t operations, int repeats, unsigned threads, const std::string& temp, bool json);

}  // namespace ordeal::checker
