// InitProducerId (22): who a producer is. Without a transactional id it only hands out a fresh id with epoch 0.
#pragma once

#include <optional>

#include "broker/base/types.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

struct InitProducerIdResponse;

struct InitProducerIdRequest {
  static constexpr ApiKey kKey = ApiKey::init_producer_id;
  static constexpr const char* kName = "InitProducerIdRequest";
  using Response = InitProducerIdResponse;

  std::optional<std::string> transactional_id;
  std::int32_t transaction_timeout_ms = 0;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  bool enable_2pc = false;
  bool keep_prepared_txn = false;
  template <class V>
  void visit(V& v) {
    v("transactional_id", transactional_id);
    v("transaction_timeout_ms", transaction_timeout_ms);
    v("producer_id", producer_id, since(3));
    v("producer_epoch", producer_epoch, since(3));
    v("enable_2pc", enable_2pc, since(6));
    v("keep_prepared_txn", keep_prepared_txn, since(6));
  }
};

struct InitProducerIdResponse {
  static constexpr ApiKey kKey = ApiKey::init_producer_id;
  static constexpr const char* kName = "InitProducerIdResponse";

  std::int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::none;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = 0;
  std::int64_t ongoing_txn_producer_id = -1;
  std::int16_t ongoing_txn_producer_epoch = -1;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms);
    v("error_code", error_code);
    v("producer_id", producer_id);
    v("producer_epoch", producer_epoch);
    v("ongoing_txn_producer_id", ongoing_txn_producer_id, since(6));
    v("ongoing_txn_producer_epoch", ongoing_txn_producer_epoch, since(6));
  }
};

}  // namespace ordeal::wire
