#include "workloads/client/outcome.h"

#include <doctest/doctest.h>

#include <set>

using namespace ordeal;
using client::classify_send;
using client::Persistence;
using history::Type;

TEST_CASE("success needs no proof, and an unknown error proves nothing") {
  CHECK(classify_send("", Persistence::persisted) == Type::ok);
  CHECK(classify_send("", Persistence::possibly_persisted) == Type::ok);  // acks=0
  CHECK(classify_send("SOMETHING_NEW", Persistence::not_persisted) == Type::info);
}

TEST_CASE("a definite failure needs both a definite error and the client's word that nothing was persisted") {
  CHECK(classify_send("_NEVER_SENT", Persistence::not_persisted) == Type::fail);
  CHECK(classify_send("_NEVER_SENT", Persistence::possibly_persisted) == Type::info);
  CHECK(classify_send("MESSAGE_TOO_LARGE", Persistence::not_persisted) == Type::fail);
  CHECK(classify_send("MESSAGE_TOO_LARGE", Persistence::persisted) == Type::info);
}

TEST_CASE("errors after which the record may be in a log are never failures") {
  for (const auto* name : {"NOT_LEADER_OR_FOLLOWER", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "REQUEST_TIMED_OUT",
                           "OUT_OF_ORDER_SEQUENCE_NUMBER", "_TRANSPORT", "_PURGE_INFLIGHT", "_PURGE_QUEUE", "_MSG_TIMED_OUT", "KAFKA_STORAGE_ERROR"}) {
    for (const auto persistence :
         {Persistence::not_persisted, Persistence::possibly_persisted, Persistence::persisted}) {
      CAPTURE(name);
      CHECK(classify_send(name, persistence) == Type::info);
    }
  }
}

TEST_CASE("the table names each error once and says why") {
  std::set<std::string_view> names;
  for (const auto& row : client::error_classes()) {
    CHECK(names.insert(row.name).second);
    CHECK_FALSE(row.why.empty());
  }
}
