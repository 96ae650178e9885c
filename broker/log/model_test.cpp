// Random operations and crashes against a plain vector of batches: whatever happens, the log is a prefix of what was
// written, holds all that was flushed, and its epochs, producers, reads and timestamps agree with its records.
#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

struct ModelBatch {
  Offset base = 0;
  int records = 0;
  std::string value;
  LeaderEpoch epoch = 0;
  ProducerId producer = kNoProducerId;
  std::int32_t sequence = 0;
  Offset next() const { return base + records; }
};

class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed), log_(config(random_)) {}

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      INFO("seed ", random_.seed(), " step ", step);
      if (random_.chance(1, 6)) log_.disk->calls_until_crash = static_cast<int>(random_.below(12));
      one_step();
      if (log_.disk->frozen || random_.chance(1, 10)) crash();
      log_.disk->calls_until_crash = -1;
      verify();
    }
  }

 private:
  static LogConfig config(Random& random) {
    LogConfig config;
    config.segment_bytes = random.between(400, 1500);
    config.index_interval_bytes = static_cast<std::int32_t>(random.between(50, 400));
    return config;
  }

  Offset end() const { return batches_.empty() ? start_ : std::max(batches_.back().next(), start_); }

  void one_step() {
    switch (random_.below(12)) {
      case 0:
        flush();
        break;
      case 1:
        truncate();
        break;
      case 2:
        advance_start();
        break;
      case 3:
        become_leader();
        break;
      case 4:
        follow();
        break;
      case 5:
        checkpoint();
        break;
      case 6:
        restart_clean();
        break;
      case 7:
        random_.chance(1, 4) ? start_over() : flush();
        break;
      case 8:
        flush_around_appends();
        break;
      default:
        append();
        break;
    }
  }

  ModelBatch draw_batch() {
    ModelBatch batch;
    batch.base = end();
    batch.records = static_cast<int>(random_.between(1, 4));
    batch.value = "v" + std::to_string(++serial_) + std::string(random_.below(60), '.');
    batch.epoch = epoch_;
    if (random_.chance(1, 2)) {
      batch.producer = random_.between(1, 3);
      const ProducerEntry* known = log_.log->producers().find(batch.producer);
      batch.sequence = known == nullptr || known->batches.empty() ? 0 : wire::next_sequence(known->last_sequence());
    }
    return batch;
  }

  BatchSpec spec_of(const ModelBatch& batch) const {
    BatchSpec spec;
    spec.records = batch.records;
    spec.value = batch.value;
    spec.timestamp = kTestNow + serial_ % 50;
    spec.base = batch.base;
    spec.leader_epoch = batch.epoch;
    if (batch.producer != kNoProducerId) {
      spec.producer = batch.producer;
      spec.epoch = 0;
      spec.sequence = batch.sequence;
    }
    return spec;
  }

  void append() {
    const ModelBatch batch = draw_batch();
    maybe_ = batch;
    const auto info = log_.log->append_as_leader(make_batch(spec_of(batch)), epoch_, kTestNow, AppendOrigin::client);
    if (!info) {
      CHECK(log_.disk->frozen);
      return;
    }
    CHECK(info->base_offset == batch.base);
    CHECK_FALSE(info->duplicate);
    batches_.push_back(batch);
    maybe_.reset();
  }

  void follow() {
    Bytes bytes;
    std::vector<ModelBatch> sent;
    for (std::uint64_t i = random_.between(1, 6); i > 0; --i) {
      ModelBatch batch = draw_batch();
      batch.producer = kNoProducerId;
      if (random_.chance(1, 4)) batch.epoch = ++epoch_;
      if (!sent.empty()) batch.base = sent.back().next();
      const Bytes one = make_batch(spec_of(batch));
      bytes.insert(bytes.end(), one.begin(), one.end());
      sent.push_back(batch);
    }
    const auto appended = log_.log->append_as_follower(bytes, kTestNow);
    // What was appended before the disk went away counts, the rest may be there or not.
    for (const ModelBatch& batch : sent) {
      if (batch.next() <= log_.log->log_end()) {
        batches_.push_back(batch);
      } else {
        CHECK(log_.disk->frozen);
        later_.push_back(batch);
      }
    }
    CHECK((appended.has_value() || log_.disk->frozen));
  }

  void flush() {
    const auto done = log_.log->flush();
    CHECK((done.has_value() || log_.disk->frozen));
    if (done) {
      CHECK(log_.log->flushed_end() == end());
      flushed_ = end();
    }
  }

  void flush_around_appends() {
    FlushTicket ticket = log_.log->prepare_flush();
    const Offset covered = end();
    append();
    const Status ran = ticket.run();
    if (!log_.disk->frozen) append();
    const Status done = log_.log->complete_flush(ticket);
    CHECK(((ran && done) || log_.disk->frozen));
    if (done) flushed_ = std::max(flushed_, covered);
  }

  void truncate() {
    const Offset to = random_.between(start_, end());
    const Offset before = end();
    const auto done = log_.log->truncate_to(to, kTestNow);
    if (!done) {
      CHECK(log_.disk->frozen);
      flushed_ = cut_point(to);
      if (flushed_ < start_) start_over_at_ = start_;
      if (flushed_ < start_) flushed_ = 0;
      return;
    }
    while (!batches_.empty() && batches_.back().next() > to) batches_.pop_back();
    // The batch under the log start is gone: everything is.
    const bool all = !batches_.empty() ? batches_.back().next() < start_ : to < before;
    if (all) batches_.clear();
    flushed_ = all ? start_ : std::min(flushed_, end());
    CHECK(log_.log->log_end() == end());
  }

  Offset cut_point(Offset to) const {
    Offset cut = 0;
    for (const ModelBatch& batch : batches_) {
      if (batch.next() <= to) cut = std::max(cut, batch.next());
    }
    return std::min(cut, flushed_);
  }

  void advance_start() {
    const Offset to = random_.between(start_, end());
    const auto done = log_.log->advance_log_start(to, flushed_);
    CHECK((done.has_value() || log_.disk->frozen));
    set_start(std::min(to, flushed_));
  }

  // Batches below the start stay in the model: a crash may bring the start of the last checkpoint back.
  void set_start(Offset start) { start_ = std::max(start_, start); }

  void start_over() {
    const Offset at = end() + random_.between(0, 5);
    start_over_at_ = at;
    const auto done = log_.log->truncate_fully_and_start_at(at, kTestNow);
    if (!done) {
      CHECK(log_.disk->frozen);
      flushed_ = start_;
      return;
    }
    start_over_at_.reset();
    batches_.clear();
    start_ = flushed_ = at;
  }

  void become_leader() {
    ++epoch_;
    log_.log->assign_epoch(epoch_);
    CHECK(log_.log->latest_epoch() == epoch_);
    CHECK(log_.log->end_offset_for_epoch(epoch_) == EpochEnd{epoch_, end()});
  }

  void checkpoint() {
    checkpoint_ = flushed_;
    checkpoint_start_ = start_;
  }

  void restart_clean() {
    const auto done = log_.log->close_clean();
    if (!done) {
      CHECK(log_.disk->frozen);
      return;
    }
    checkpoint_ = flushed_ = end();
    checkpoint_start_ = start_;
    if (log_.disk->frozen) return;
    log_.disk->calls_until_crash = -1;
    log_.open({true, checkpoint_, checkpoint_start_});
    CHECK(log_.log->recovery().indexes_rebuilt == 0);
  }

  // The log comes back as a prefix of what may have been written, no shorter than what was flushed.
  void crash() {
    std::vector<ModelBatch> possible = batches_;
    if (maybe_) possible.push_back(*maybe_);
    possible.insert(possible.end(), later_.begin(), later_.end());
    maybe_.reset();
    later_.clear();
    bool power = random_.chance(1, 2);
    const bool frozen = log_.disk->frozen;
    const Offset written = end();
    log_.log.reset();
    log_.disk = power ? log_.disk->power_cut(random_.chance(1, 3) ? nullptr : &random_) : log_.disk->kill();
    // Now and then the machine dies again while it recovers.
    if (random_.chance(1, 4)) {
      log_.disk->calls_until_crash = static_cast<int>(random_.below(8));
      if (log_.try_open({false, checkpoint_, checkpoint_start_}) && !log_.disk->frozen)
        log_.disk->calls_until_crash = -1;
      const bool again = random_.chance(1, 2);
      log_.log.reset();
      log_.disk = again ? log_.disk->power_cut(&random_) : log_.disk->kill();
      power = power || again;
    }
    log_.open({false, checkpoint_, checkpoint_start_});
    const Offset found = log_.log->log_end();
    if (start_over_at_ && found == log_.log->log_start() && (found == *start_over_at_ || found == checkpoint_start_)) {
      batches_.clear();
      start_ = flushed_ = checkpoint_ = found;
      start_over_at_.reset();
      return;
    }
    start_over_at_.reset();
    CHECK(found >= flushed_);
    if (!power && !frozen) CHECK(found == written);
    batches_.clear();
    for (const ModelBatch& batch : possible) {
      if (batch.next() <= found) batches_.push_back(batch);
    }
    CHECK(log_.log->log_start() >= checkpoint_start_);
    CHECK(log_.log->log_start() <= start_);
    start_ = log_.log->log_start();
    std::erase_if(batches_, [&](const ModelBatch& batch) { return batch.next() <= start_; });
    CHECK(end() == found);
    flushed_ = found;
    CHECK(log_.log->flushed_end() == found);
    CHECK(log_.log->latest_epoch() <= epoch_);
  }

  void verify() {
    PartitionLog& log = *log_.log;
    REQUIRE(log.log_end() == end());
    CHECK(log.log_start() == start_);
    std::vector<std::string> expected;
    for (const ModelBatch& batch : batches_) {
      for (int i = 0; i < batch.records; ++i) {
        if (batch.base + i >= start_) expected.push_back(batch.value + "." + std::to_string(i));
      }
      if (batch.next() > start_) CHECK(log.epochs().epoch_of(std::max(batch.base, start_)) == batch.epoch);
    }
    const auto values = log_.values(start_, random_.between(1, 600));
    INFO("values ", fmt::format("{}", fmt::join(values, " ")), "\nexpected ",
         fmt::format("{}", fmt::join(expected, " ")), "\nstart ", start_, " log start ", log.log_start());
    REQUIRE(values == expected);
    verify_producers();
    if (!batches_.empty()) {
      const ModelBatch& any = batches_[random_.below(batches_.size())];
      if (any.next() <= start_) return;
      const auto part = log.read(std::max(any.base, start_), 1, end());
      REQUIRE(part);
      CHECK(wire::BatchView::parse(part->view)->base_offset() == any.base);
    }
  }

  void verify_producers() {
    for (ProducerId id = 1; id <= 3; ++id) {
      std::vector<ModelBatch> mine;
      for (const ModelBatch& batch : batches_) {
        if (batch.producer == id && batch.next() > start_) mine.push_back(batch);
      }
      if (mine.empty()) continue;
      const ProducerEntry* entry = log_.log->producers().find(id);
      REQUIRE(entry != nullptr);
      REQUIRE(entry->batches.size() >= std::min<std::size_t>(mine.size(), kBatchesRemembered));
      for (std::size_t back = 1; back <= std::min(mine.size(), kBatchesRemembered); ++back) {
        const ModelBatch& batch = mine[mine.size() - back];
        const ProducerBatch& known = entry->batches[entry->batches.size() - back];
        CHECK(known.base_offset() == batch.base);
        CHECK(known.first_sequence == batch.sequence);
      }
    }
  }

  Random random_;
  TestLog log_;
  std::vector<ModelBatch> batches_;
  std::vector<ModelBatch> later_;    // of a follower append that the crash cut off
  std::optional<ModelBatch> maybe_;  // a leader append that the crash cut off
  std::optional<Offset> start_over_at_;
  Offset start_ = 0;
  Offset flushed_ = 0;
  Offset checkpoint_ = 0;
  Offset checkpoint_start_ = 0;
  LeaderEpoch epoch_ = 1;
  int serial_ = 0;
};

TEST_CASE("random operations and crashes never break the log's promises") {
  for (std::uint64_t seed = 1; seed <= 600; ++seed) Model(seed).run(60);
}

}  // namespace
}  // namespace ordeal::log
