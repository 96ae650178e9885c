// Producer ids from blocks that the controller hands out: unique in the cluster, never given twice, also not after a
// crash (the rest of a block is then lost, which is fine: there are 2^63 of them).
#pragma once

#include "broker/env/sync.h"
#include "broker/server/services.h"

namespace ordeal::server {

class ProducerIds {
 public:
  ProducerIds(env::Scheduler& scheduler, Metadata& metadata, NodeId self)
      : metadata_(metadata), self_(self), changed_(scheduler) {}
  // A fresh id. One request to the controller at a time, whoever waits. Errors are retriable.
  env::Task<Result<ProducerId>> next(Instant deadline);

 private:
  env::Task<Status> refill(Instant deadline);

  Metadata& metadata_;
  const NodeId self_;
  env::Signal changed_;  // a refill ended
  bool refilling_ = false;
  ProducerId next_ = 0;
  ProducerId end_ = 0;
};

}  // namespace ordeal::server
