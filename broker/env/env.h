// Everything a broker may touch outside its own memory. Passed by reference through constructors; there are no
// globals and no way to ask which world this is. Two implementations: broker/real and faults/sim.
#pragma once

#include "broker/base/random.h"
#include "broker/base/trace.h"
#include "broker/env/disk.h"
#include "broker/env/network.h"
#include "broker/env/scheduler.h"

namespace ordeal::env {

class Buggify;

struct Env {
  Scheduler& scheduler;
  Network& network;
  Disk& disk;
  Random& random;
  TraceSink& trace;
  Buggify* buggify = nullptr;  // buggify.h; null: nothing rare is asked for
};

}  // namespace ordeal::env
