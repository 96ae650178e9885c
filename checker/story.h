// Findings in words: who did what when, what stands there now, and which faults were active. The reader has two
// minutes and did not write the trial.
#pragma once

#include "checker/evidence.h"
#include "checker/witness.h"

namespace ordeal::checker {

std::string grouped(std::uint64_t number);                            // 1,234,567
std::string clock_text(std::uint64_t t_ns, std::uint64_t t0_ns);      // "00:23.418" since the history began
std::string fault_text(const FaultSpan& fault, std::uint64_t t0_ns);  // "n2 killed 00:23.502 to 00:25.100"
// "7 faults (3 kills, 3 partitions, 1 pause)", "1 fault (1 kill)", "no fault".
std::string faults_in_words(const std::vector<FaultSpan>& faults);

struct StoryTeller {
  const Index& index;
  const Locator& locator;
  const Evidence& evidence;
  const Context& context;

  // False if the second opinion disagrees: then nothing may be said.
  bool tell(const Finding& finding, Standing status, const std::string& promise, Violation& out) const;
};

}  // namespace ordeal::checker
