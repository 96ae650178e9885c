// Points where a broker may be asked to behave rarely but legally: to flush early, split a reply, retry at once.
//
//   if (env::buggify(env_, "log.roll_early")) co_return roll();
//
// False in the real world. In simulation each site is switched on or off for a whole world, and fires now and then in
// those where it is on. A site must be legal whenever it fires: it widens what is explored, it is never a fault.
// Site names are lower-case, "component.what".
#pragma once

#include <string_view>

#include "broker/env/env.h"

namespace ordeal::env {

class Buggify {
 public:
  virtual ~Buggify() = default;
  virtual bool fires(std::string_view site) = 0;
};

inline bool buggify(Env& env, std::string_view site) { return env.buggify != nullptr && env.buggify->fires(site); }

}  // namespace ordeal::env
