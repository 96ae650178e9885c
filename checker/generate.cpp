#include <deque>

#include "broker/base/random.h"
#include "checker/bench.h"

namespace ordeal::checker {
namespace {

using history::Recorder;

constexpr std::int64_t kStep = 5'000;              // one append every 5 us
constexpr std::int64_t kSendLead = 400'000;        // invoked so long before the append
constexpr std::int64_t kConsumerLag = 50'000'000;  // read so long after
constexpr std::uint64_t kBatch = 50;

struct Placed {
  std::uint64_t value;
  std::int64_t at;  // of the append
};

struct Pending {
  std::int64_t at;
  std::uint16_t object;
  std::uint64_t value;
  std::int64_t offset;  // -1: no answer came
};

class Generator {
 public:
  Generator(std::string folder, const GeneratorOptions& options)
      : folder_(std::move(folder)), options_(options), random_(options.seed), log_(options.partitions) {}

  Status run() {
    ORDEAL_TRY(produce());
    ORDEAL_TRY(consume());
    return audit();
  }

 private:
  Result<std::unique_ptr<Recorder>> recorder(const std::string& writer, std::uint64_t first, std::uint64_t stride) {
    history::Header header;
    header.run_id = "bench";
    header.writer = writer;
    header.client_kind = "generated";
    header.config = {{"acks", "all"}, {"enable.idempotence", "true"}};
    header.value_first = first;
    header.value_stride = stride;
    for (std::uint16_t p = 0; p < options_.partitions; ++p) header.objects.push_back({"bench", p});
    history::RecorderOptions recorder_options;
    recorder_options.flush_interval = std::chrono::hours(24);
    return Recorder::create(folder_ + "/" + writer + ".ohist", std::move(header), recorder_options);
  }

  static Instant at(std::int64_t ns) { return Instant(Duration(ns)); }

  Status produce() {
    std::vector<std::unique_ptr<Recorder>> producers;
    std::vector<std::deque<Pending>> pending(options_.producers);
    std::vector<std::uint64_t> sent(options_.producers, 0);
    for (std::uint16_t p = 0; p < options_.producers; ++p) {
      auto made = recorder("producer-" + std::to_string(p), p, options_.producers);
      if (!made) return fail(made.error());
      producers.push_back(std::move(*made));
    }
    const auto answer = [&](std::uint16_t p, std::int64_t until) {
      while (!pending[p].empty() && pending[p].front().at <= until) {
        const Pending& done = pending[p].front();
        if (done.offset >= 0)
          producers[p]->send_ok(at(done.at), p, done.object, done.value, done.offset);
        else
          producers[p]->send_info(at(done.at), p, done.object, done.value, {"REQUEST_TIMED_OUT", 7, "", true, ""});
        pending[p].pop_front();
      }
    };
    const std::uint64_t sends = options_.operations / 3;
    for (std::uint64_t i = 0; i < sends; ++i) {
      const auto p = static_cast<std::uint16_t>(i % options_.producers);
      const auto object = static_cast<std::uint16_t>(random_.below(options_.partitions));
      const std::int64_t append = kSendLead + static_cast<std::int64_t>(i) * kStep;
      answer(p, append - kSendLead);
      const std::uint64_t value = producers[p]->value_id(sent[p]++);
      producers[p]->send_invoke(at(append - kSendLead), p, object, value);
      const bool lost_answer = random_.chance(1, 1000);
      const bool landed = !lost_answer || random_.chance(1, 2);
      std::int64_t offset = -1;
      if (landed) {
        offset = static_cast<std::int64_t>(log_[object].size());
        log_[object].push_back({value, append});
      }
      pending[p].push_back({append + kSendLead, object, value, lost_answer ? -1 : offset});
      end_ = append;
    }
    for (std::uint16_t p = 0; p < options_.producers; ++p) {
      answer(p, INT64_MAX);
      ORDEAL_TRY(producers[p]->close());
    }
    return {};
  }

  Status consume() {
    for (std::uint16_t c = 0; c < options_.consumers; ++c) {
      auto made = recorder("consumer-" + std::to_string(c), 0, 0);
      if (!made) return fail(made.error());
      const auto process = static_cast<std::uint16_t>(1000 + c);
      for (std::uint16_t object = c; object < options_.partitions;
           object = static_cast<std::uint16_t>(object + options_.consumers)) {
        (*made)->assign(at(0), process, object, 0);
        const auto& log = log_[object];
        for (std::size_t first = 0; first < log.size(); first += 500) {
          const std::size_t last = std::min(log.size(), first + 500);
          const std::int64_t when = log[last - 1].at + kConsumerLag;
          (*made)->poll_invoke(at(when - 1'000'000), process);
          for (std::size_t i = first; i < last; ++i)
            (*made)->read(at(when), process, object, static_cast<std::int64_t>(i), log[i].value, 0);
          (*made)->poll_done(at(when), process, history::Type::ok, static_cast<std::int64_t>(last - first));
        }
      }
      ORDEAL_TRY((*made)->close());
    }
    return {};
  }

  Status audit() {
    auto made = recorder("auditor", 0, 0);
    if (!made) return fail(made.error());
    const std::int64_t when = end_ + 1'000'000'000;
    for (std::uint16_t object = 0; object < options_.partitions; ++object) {
      const auto& log = log_[object];
      (*made)->audit_start(at(when), 2000, object, 0);
      for (std::size_t i = 0; i < log.size(); ++i)
        (*made)->audit(at(when), 2000, object, static_cast<std::int64_t>(i), log[i].value, 0);
      for (std::size_t i = 0; i < log.size(); i += kBatch) {
        const auto last = static_cast<std::int64_t>(std::min<std::size_t>(log.size(), i + kBatch)) - 1;
        const auto base = static_cast<std::int64_t>(i);
        (*made)->audit_batch({object, base, last, 0, 1000, 0, static_cast<std::int32_t>(i & 0x7FFFFFFF),
                              static_cast<std::uint32_t>(last - base + 1), history::ControlType::data, true});
      }
      (*made)->audit_end(at(when), 2000, object, static_cast<std::int64_t>(log.size()), true);
    }
    return (*made)->close();
  }

  const std::string folder_;
  const GeneratorOptions options_;
  Random random_;
  std::vector<std::vector<Placed>> log_;
  std::int64_t end_ = 0;
};

}  // namespace

Status generate_history(const std::string& folder, const GeneratorOptions& options) {
  return Generator(folder, options).run();
}

}  // namespace ordeal::checker
