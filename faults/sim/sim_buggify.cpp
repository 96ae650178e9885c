#include "faults/sim/sim_buggify.h"

namespace ordeal::sim {

BuggifySites::Site& BuggifySites::at(std::string_view name) {
  auto found = sites_.find(name);
  if (found == sites_.end()) {
    found = sites_.emplace(std::string(name), Site{}).first;
    found->second.on = random_.fork(name).chance(1, 4);
  }
  return found->second;
}

bool NodeBuggify::fires(std::string_view site) {
  auto found = known_.find(site);
  if (found == known_.end())
    found = known_.emplace(std::string(site), Known{&sites_.at(site), random_.fork(site)}).first;
  Known& known = found->second;
  ++known.site->asked;
  if (!known.site->on || !known.random.chance(1, 20)) return false;
  ++known.site->fired;
  return true;
}

}  // namespace ordeal::sim
