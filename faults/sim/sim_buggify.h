// Rare but legal behaviour of brokers on request (broker/env/buggify.h), in worlds where it is switched on.
//
// Per world each site is on with one chance in four; where it is on it fires once in twenty questions. Sites draw for
// themselves, by their name and the node's incarnation: a new site in the broker does not shift the others.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "broker/base/random.h"
#include "broker/env/buggify.h"

namespace ordeal::sim {

class BuggifySites {
 public:
  struct Site {
    bool on = false;
    std::uint64_t asked = 0;
    std::uint64_t fired = 0;
  };

  explicit BuggifySites(Random random) : random_(random) {}
  Site& at(std::string_view name);
  const std::map<std::string, Site, std::less<>>& all() const { return sites_; }

 private:
  Random random_;
  std::map<std::string, Site, std::less<>> sites_;
};

// Of one incarnation.
class NodeBuggify final : public env::Buggify {
 public:
  NodeBuggify(BuggifySites& sites, Random random) : sites_(sites), random_(random) {}
  bool fires(std::string_view site) override;

 private:
  struct Known {
    BuggifySites::Site* site;
    Random random;
  };
  BuggifySites& sites_;
  Random random_;
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace ordeal::sim
