#include "checker/findings.h"

namespace ordeal::checker {

Standing Findings::status_of(const Finding& finding) const {
  switch (finding.because) {
    case Because::client_epoch:
    case Because::client_sequence:
    case Because::stale_answer:
    case Because::stale_refusal:
      return Standing::allowed;
    case Because::no_batch_evidence:
    case Because::not_drained:
      return Standing::unknown;
    case Because::matrix:
    case Because::refused_held:
    case Because::crc:
      break;
  }
  return promise_of(finding.prop, finding.object) == Promise::promised ? Standing::violated : Standing::allowed;
}

void Findings::add(const Finding& finding) {
  Tally& tally = of(finding.prop);
  switch (status_of(finding)) {
    case Standing::violated:
      ++tally.violated;
      if (tally.kept_violated.size() < keep_) tally.kept_violated.push_back(finding);
      return;
    case Standing::allowed:
      ++tally.allowed;
      tally.stale += finding.because == Because::stale_answer || finding.because == Because::stale_refusal ? 1 : 0;
      tally.client += finding.because == Because::client_epoch || finding.because == Because::client_sequence ? 1 : 0;
      if (tally.kept_allowed.size() < keep_) tally.kept_allowed.push_back(finding);
      return;
    case Standing::unknown:
      ++tally.unknown;
      return;
    case Standing::held:
      return;
  }
}

void Findings::merge(Findings&& other) {
  for (std::size_t i = 0; i < kProps; ++i) {
    Tally& to = tallies_[i];
    const Tally& from = other.tallies_[i];
    to.violated += from.violated;
    to.allowed += from.allowed;
    to.unknown += from.unknown;
    to.client += from.client;
    to.stale += from.stale;
    for (const Finding& finding : from.kept_violated)
      if (to.kept_violated.size() < keep_) to.kept_violated.push_back(finding);
    for (const Finding& finding : from.kept_allowed)
      if (to.kept_allowed.size() < keep_) to.kept_allowed.push_back(finding);
  }
}

}  // namespace ordeal::checker
