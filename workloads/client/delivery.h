// How a send ended, whichever client sent it.
#pragma once

#include <cstdint>
#include <string>

#include "broker/base/types.h"
#include "workloads/client/outcome.h"

namespace ordeal::client {

struct Delivery {
  std::uint64_t tag = 0;  // as given to the producer
  std::string error;      // empty: acknowledged
  std::string error_text;
  Persistence persistence = Persistence::possibly_persisted;
  Offset offset = kNoOffset;            // -1 when unknown (acks=0)
  LeaderEpoch leader_epoch = kNoEpoch;  // of the leader that acknowledged, if the client knows it
};

}  // namespace ordeal::client
