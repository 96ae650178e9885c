// The real world in one piece: what a process builds once and hands to its broker or client.
#pragma once

#include "broker/env/env.h"
#include "broker/real/real_disk.h"
#include "broker/real/real_network.h"
#include "broker/real/real_scheduler.h"

namespace ordeal::real {

class RealEnv {
 public:
  explicit RealEnv(TraceSink& trace, std::size_t blocking_threads = 16)
      : scheduler(blocking_threads),
        network(scheduler),
        random(entropy()),
        env{scheduler, network, disk, random, trace} {}

  RealScheduler scheduler;
  RealNetwork network;
  RealDisk disk;
  Random random;
  env::Env env;

 private:
  static std::uint64_t entropy();  // from the kernel
};

}  // namespace ordeal::real
