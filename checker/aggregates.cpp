// aggregates.json: what the report draws, so that nothing after the checker has to look at an operation again.
#include <algorithm>

#include "checker/check.h"
#include "checker/lanes.h"

namespace ordeal::checker {

using history::Function;
using history::Record;
using history::Type;

namespace {

using Json = nlohmann::json;

struct Buckets {
  std::uint64_t t0 = 0, width = 1;
  std::vector<std::uint64_t> ok, fail, info, read;
  std::vector<std::vector<std::uint32_t>> latency_us;

  Buckets(std::uint64_t from, std::uint64_t bucket_ns, std::size_t count)
      : t0(from), width(bucket_ns), ok(count), fail(count), info(count), read(count), latency_us(count) {}
  std::size_t at(std::uint64_t t_ns) const {
    return std::min<std::size_t>(t_ns < t0 ? 0 : (t_ns - t0) / width, ok.size() - 1);
  }
};

std::pair<std::uint64_t, std::uint64_t> span_of(const history::History& history, const Context& context) {
  std::uint64_t low = UINT64_MAX;
  std::uint64_t high = 0;
  const auto add = [&](std::uint64_t t) {
    low = std::min(low, t);
    high = std::max(high, t);
  };
  for (const history::FileView& file : history.files)
    for (const auto& block : file.blocks)
      for (const Record& record : block) add(record.time_ns);
  if (low == UINT64_MAX) low = 0;
  // Faults that outlast the workload belong on the axis; what came long before it (cluster start) does not.
  for (const FaultEvent& event : context.faults)
    if (event.event.starts_with("fault.") && event.t_ns >= low) add(event.t_ns);
  return {low, std::max(high, low + 1)};
}

// A round width, so that the axis of the report reads well.
std::uint64_t round_width(std::uint64_t least) {
  std::uint64_t unit = 1'000'000;
  while (true) {
    for (const std::uint64_t factor : {1, 2, 5})
      if (unit * factor >= least) return unit * factor;
    unit *= 10;
  }
}

void fill(const history::History& history, Buckets& buckets) {
  std::vector<std::uint64_t> invoked;
  for (const history::FileView& file : history.files) {
    for (const auto& block : file.blocks) {
      for (const Record& r : block) {
        if (r.function == Function::read) ++buckets.read[buckets.at(r.time_ns)];
        if (r.function != Function::send) continue;
        const std::uint64_t value = r.value();
        if (r.type == Type::invoke) {
          if (value >= invoked.size()) invoked.resize(std::max<std::size_t>(value + 1, invoked.size() * 2));
          invoked[value] = r.time_ns;
          continue;
        }
        const std::size_t at = buckets.at(r.time_ns);
        ++(r.type == Type::ok ? buckets.ok : r.type == Type::fail ? buckets.fail : buckets.info)[at];
        if (r.type == Type::ok && value < invoked.size() && r.time_ns >= invoked[value])
          buckets.latency_us[at].push_back(
              static_cast<std::uint32_t>(std::min<std::uint64_t>((r.time_ns - invoked[value]) / 1000, UINT32_MAX)));
      }
    }
  }
}

Json latency(Buckets& buckets) {
  Json out{{"p50", Json::array()}, {"p99", Json::array()}, {"p999", Json::array()}, {"max", Json::array()}};
  for (std::vector<std::uint32_t>& bucket : buckets.latency_us) {
    std::ranges::sort(bucket);
    const auto put = [&](const char* name, std::size_t per_mille) {
      if (bucket.empty()) return out[name].push_back(nullptr);
      const std::size_t rank = std::min(bucket.size() - 1, bucket.size() * per_mille / 1000);
      out[name].push_back(bucket[rank] / 1000.0);
    };
    put("p50", 500);
    put("p99", 990);
    put("p999", 999);
    put("max", 1000);
  }
  return out;
}

}  // namespace

Json aggregates(const history::History& history, const Context& context, std::size_t buckets) {
  const auto [t0, t1] = span_of(history, context);
  const std::uint64_t width = round_width((t1 - t0) / std::max<std::size_t>(buckets, 1) + 1);
  Buckets filled(t0, width, static_cast<std::size_t>((t1 - t0) / width) + 1);
  fill(history, filled);
  const std::vector<FaultSpan> faults = fault_spans(context.faults);
  return {
      {"schema", 1},
      {"t0_ns", t0},
      {"t1_ns", t1},
      {"bucket_ns", width},
      {"series",
       {{"send_ok", filled.ok}, {"send_fail", filled.fail}, {"send_info", filled.info}, {"read", filled.read}}},
      {"latency_ms", latency(filled)},
      {"lanes", {{"brokers", broker_lanes(context, faults, t0, t1)}, {"partitions", partition_lanes(context, t0, t1)}}},
      {"faults", fault_rows(faults)}};
}

}  // namespace ordeal::checker
