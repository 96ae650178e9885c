// Idempotence rules, the snapshot format, and both together in a log that rolls, restarts and truncates.
#include "broker/log/producer_state.h"

#include <doctest/doctest.h>

#include <limits>

#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

using wire::ErrorCode;

BatchSpec from(ProducerEpoch epoch, std::int32_t sequence, int records = 1) {
  BatchSpec spec;
  spec.records = records;
  spec.producer = 42;
  spec.epoch = epoch;
  spec.sequence = sequence;
  return spec;
}

TEST_CASE("any of the last five batches is a duplicate with its first offset; older ones are out of order") {
  TestLog t;
  for (int i = 0; i < 6; ++i) CHECK(t.append(from(0, i * 2, 2)).base_offset == i * 2);
  for (int i = 1; i < 6; ++i) {
    const AppendInfo info = t.append(from(0, i * 2, 2));
    CHECK(info.duplicate);
    CHECK(info.base_offset == i * 2);
    CHECK(info.last_offset == i * 2 + 1);
  }
  CHECK(t.append_error(from(0, 0, 2)).code == ErrorCode::out_of_order_sequence_number);
  CHECK(t.append_error(from(0, 2, 1)).code ==
        ErrorCode::out_of_order_sequence_number);  // a part of one is none of them
  CHECK(t.append_error(from(0, 13)).code == ErrorCode::out_of_order_sequence_number);
  CHECK(t.log->log_end() == 12);
  CHECK_FALSE(t.append(from(0, 12)).duplicate);
}

// A follower takes what the leader has: no question is asked of the sequence.
void replicate(TestLog& t, const BatchSpec& spec) {
  Bytes batch = make_batch(spec);
  wire::set_base_offset(batch, t.log->log_end());
  wire::set_partition_leader_epoch(batch, 1);
  REQUIRE(t.log->append_as_follower(batch, kTestNow));
}

TEST_CASE("a producer's first batch in a whole log is its first: a later one waits for the one that was refused") {
  TestLog t;
  CHECK(t.append_error(from(0, 1)).code == ErrorCode::out_of_order_sequence_number);
  CHECK(t.append(from(0, 0)).base_offset == 0);
  CHECK(t.append(from(0, 1)).base_offset == 1);
}

TEST_CASE("where producers may have been forgotten, one without state may go on from anywhere") {
  ProducerState state;
  const Bytes known = make_batch({.timestamp = 10, .producer = 1, .epoch = 0, .sequence = 0});
  const Bytes later = make_batch(from(0, 17));
  const wire::BatchView asked = *wire::BatchView::parse(later);
  CHECK(state.check(asked, mutation::no_switches(), true).verdict == ProducerVerdict::out_of_order);
  CHECK(state.check(asked, mutation::no_switches(), false).verdict == ProducerVerdict::append);
  state.update(*wire::BatchView::parse(known), 0, 1000);
  state.expire(5000, 1000);
  CHECK(state.check(asked, mutation::no_switches(), true).verdict == ProducerVerdict::append);
}

TEST_CASE("epochs: older is fenced, newer starts at zero") {
  TestLog t;
  CHECK(t.append(from(3, 0)).base_offset == 0);
  CHECK(t.append_error(from(2, 1)).code == ErrorCode::invalid_producer_epoch);
  CHECK(t.append_error(from(4, 1)).code == ErrorCode::out_of_order_sequence_number);
  CHECK(t.append(from(4, 0)).base_offset == 1);
  CHECK(t.append_error(from(3, 1)).code == ErrorCode::invalid_producer_epoch);
  CHECK(t.append(from(4, 0)).duplicate);
  CHECK(t.append(from(4, 1)).base_offset == 2);
}

TEST_CASE("sequences wrap from 2147483647 to 0, inside a batch and between batches") {
  constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
  TestLog t;
  replicate(t, from(0, kMax - 1, 1));
  t.append(from(0, kMax, 3));  // kMax, 0, 1
  CHECK(t.log->producers().find(42)->last_sequence() == 1);
  CHECK(t.append(from(0, kMax, 3)).duplicate);
  CHECK(t.append(from(0, 2)).base_offset == 4);
  TestLog u;
  replicate(u, from(0, kMax, 1));
  CHECK(u.append_error(from(0, 1)).code == ErrorCode::out_of_order_sequence_number);
  CHECK_FALSE(u.append(from(0, 0)).duplicate);
}

TEST_CASE("a plain batch inside an open transaction is refused; markers close it and bump the epoch") {
  TestLog t;
  BatchSpec spec = from(0, 0);
  spec.transactional = true;
  t.append(spec);
  CHECK(t.log->producers().first_open_txn() == 0);
  CHECK(t.append_error(from(0, 1)).code == ErrorCode::invalid_txn_state);
  spec.sequence = 1;
  t.append(spec);
  CHECK(t.log->producers().find(42)->txn_first_offset == 0);
  const Bytes marker = wire::build_control_batch(wire::ControlType::abort, 42, 0, 9, kTestNow);
  auto marked = t.log->append_as_leader(marker, 1, kTestNow, AppendOrigin::coordinator);
  REQUIRE(marked);
  CHECK(marked->base_offset == 2);
  CHECK_FALSE(t.log->producers().first_open_txn().has_value());
  CHECK(t.log->producers().find(42)->coordinator_epoch == 9);
  CHECK(t.append(from(0, 2)).base_offset == 3);  // the sequence goes on under the same epoch
  REQUIRE(t.log->append_as_leader(wire::build_control_batch(wire::ControlType::abort, 42, 1, 9, kTestNow), 1, kTestNow,
                                  AppendOrigin::coordinator));
  CHECK(t.append_error(from(0, 3)).code == ErrorCode::invalid_producer_epoch);
  CHECK(t.append(from(1, 0)).base_offset == 5);
}

TEST_CASE("a refused append leaves no trace in the producer state") {
  TestLog t;
  t.append(from(0, 0));
  Bytes bad = make_batch(from(0, 1));
  bad.back() ^= 1;
  t.append_error(bad);
  t.append_error(from(0, 7));
  CHECK_FALSE(t.append(from(0, 1)).duplicate);
  CHECK(t.log->log_end() == 2);
}

TEST_CASE("idem.dup_is_out_of_order refuses the retry, and only then counts") {
  TestLog t;
  t.switches.turn_on(mutation::Bug::idem_dup_is_out_of_order);
  t.append(from(0, 0));
  t.append(from(0, 1));
  CHECK(t.switches.ran(mutation::Bug::idem_dup_is_out_of_order) == 0);
  CHECK(t.append_error(from(0, 1)).code == ErrorCode::out_of_order_sequence_number);
  CHECK(t.switches.ran(mutation::Bug::idem_dup_is_out_of_order) == 1);
}

TEST_CASE("the snapshot has Kafka's bytes") {
  ProducerState state;
  const Bytes batch = make_batch({.records = 3, .timestamp = 1000, .producer = 7, .epoch = 2, .sequence = 10});
  state.update(*wire::BatchView::parse(batch), 100, 500);
  const Bytes file = state.encode_snapshot();
  REQUIRE(file.size() == 10 + 46);
  CHECK(load_be<std::int16_t>(file.data()) == 1);
  CHECK(load_be<std::uint32_t>(file.data() + 2) == crc32c(ByteView(file).subspan(6)));
  CHECK(load_be<std::int32_t>(file.data() + 6) == 1);
  const std::uint8_t golden[46] = {0,    0,    0,    0,    0,    0,    0,    7,      // producer id
                                   0,    2,                                          // epoch
                                   0,    0,    0,    12,                             // last sequence
                                   0,    0,    0,    0,    0,    0,    0,    102,    // last offset
                                   0,    0,    0,    2,                              // offset delta
                                   0,    0,    0,    0,    0,    0,    3,    0xEA,   // timestamp 1002
                                   0xFF, 0xFF, 0xFF, 0xFF,                           // coordinator epoch
                                   0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};  // no open transaction
  CHECK(std::equal(std::begin(golden), std::end(golden), file.begin() + 10));
  auto loaded = ProducerState::decode_snapshot(file);
  REQUIRE(loaded);
  REQUIRE(loaded->find(7) != nullptr);
  CHECK(loaded->find(7)->batches.size() == 1);
  CHECK(loaded->find(7)->batches.front().first_sequence == 10);
  CHECK(loaded->encode_snapshot() == file);
  for (std::size_t at = 0; at < file.size(); ++at) {
    Bytes bad = file;
    bad[at] ^= 0x10;
    CHECK(ProducerState::decode_snapshot(bad).error().code == Errc::corrupt);
    CHECK_FALSE(ProducerState::decode_snapshot(ByteView(file).first(at)).has_value());
  }
}

TEST_CASE("producers expire by silence, never inside a transaction") {
  ProducerState state;
  const Bytes plain = make_batch({.timestamp = 10, .producer = 1, .epoch = 0, .sequence = 0});
  const Bytes open = make_batch({.timestamp = 10, .producer = 2, .epoch = 0, .sequence = 0, .transactional = true});
  state.update(*wire::BatchView::parse(plain), 0, 1000);
  state.update(*wire::BatchView::parse(open), 1, 1000);
  state.expire(1999, 1000);
  CHECK(state.entries().size() == 2);
  state.expire(2000, 1000);
  CHECK(state.find(1) == nullptr);
  CHECK(state.find(2) != nullptr);
}

TEST_CASE("the window of five survives restarts, kills and truncation") {
  LogConfig config;
  config.segment_bytes = 400;
  for (const bool clean : {true, false}) {
    TestLog t(config);
    for (int i = 0; i < 9; ++i) t.append(from(0, i));
    if (clean) {
      REQUIRE(t.log->close_clean());
      t.open({true, 9, 0});
    } else {
      t.crash_and_open(false);
    }
    for (int i = 4; i < 9; ++i) {
      const AppendInfo info = t.append(from(0, i));
      CHECK(info.duplicate);
      CHECK(info.base_offset == i);
    }
    CHECK(t.append_error(from(0, 10)).code == ErrorCode::out_of_order_sequence_number);
    REQUIRE(t.log->truncate_to(6, kTestNow));
    CHECK(t.append(from(0, 5)).duplicate);
    CHECK(t.append_error(from(0, 8)).code == ErrorCode::out_of_order_sequence_number);
    CHECK(t.append(from(0, 6)).base_offset == 6);
  }
}

TEST_CASE("retention does not forget producers") {
  LogConfig config;
  config.segment_bytes = 400;
  config.retention_ms = 0;
  TestLog t(config);
  for (int i = 0; i < 9; ++i) t.append(from(0, i));
  CHECK(*t.log->enforce_retention(kTestNow + 1000, 9) > 0);
  CHECK(t.log->log_start() == 9);
  REQUIRE(t.log->close_clean());
  t.open({true, 9, 9});
  CHECK(t.append(from(0, 8)).duplicate);
  CHECK(t.append_error(from(0, 0)).code == ErrorCode::out_of_order_sequence_number);
}

}  // namespace
}  // namespace ordeal::log
