// The checks against definitions: random small histories, each property counted once more by trying all pairs. And
// wilder histories for which only this is asked: nothing crashes, and the second opinion never disagrees.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "broker/base/random.h"
#include "checker/test_history.h"

using namespace ordeal;
using namespace ordeal::checker;
using ordeal::checker::testing::Script;

namespace {

struct PlainSend {
  std::uint64_t value;
  std::uint16_t object, process;
  std::int64_t invoke, end = 0;
  bool ok = false;
  Offset offset = -1;
};

struct PlainAudit {
  Offset start = 0, position = 0;
  bool proven = false;
  std::map<Offset, std::uint64_t> at;
};

struct Small {
  std::vector<PlainSend> sends;
  std::vector<PlainAudit> audits;

  const std::uint64_t* there(std::uint16_t object, Offset offset) const {
    const auto found = audits[object].at.find(offset);
    return found == audits[object].at.end() ? nullptr : &found->second;
  }
  bool audited(const PlainSend& send) const {
    return std::ranges::any_of(audits[send.object].at, [&](const auto& entry) { return entry.second == send.value; });
  }
  // Of several acknowledgements for an unread offset the first value counts: the others cannot stand there.
  bool claims(const PlainSend& send) const {
    if (!send.ok || send.offset < 0) return false;
    if (const std::uint64_t* value = there(send.object, send.offset)) return *value == send.value;
    return true;
  }
  // Where the audit decides, only what it found takes part in the order of one producer's sends.
  bool stands(const PlainSend& send) const {
    const PlainAudit& audit = audits[send.object];
    if (send.offset < audit.start) return false;  // removed: what stood there nobody knows
    const bool decided = (send.offset < audit.position || audit.proven);
    return claims(send) && (!decided || there(send.object, send.offset) != nullptr);
  }
};

Small draw(Random& random) {
  Small small;
  const std::uint64_t values = 1 + random.below(6);
  for (std::uint64_t v = 0; v < values; ++v) {
    PlainSend send{v, static_cast<std::uint16_t>(random.below(2)), static_cast<std::uint16_t>(random.below(2)),
                   static_cast<std::int64_t>(1 + random.below(12))};
    send.end = send.invoke + static_cast<std::int64_t>(random.below(6));
    send.ok = random.chance(4, 5);
    send.offset = send.ok ? static_cast<Offset>(random.below(7)) - (random.chance(1, 10) ? 1 : 0) : -1;
    if (send.offset < -1) send.offset = -1;
    small.sends.push_back(send);
  }
  for (std::uint16_t object = 0; object < 2; ++object) {
    PlainAudit audit;
    audit.start = random.chance(1, 4) ? static_cast<Offset>(random.below(3)) : 0;
    audit.position = audit.start + static_cast<Offset>(random.below(7));
    audit.proven = random.chance(2, 3);
    for (Offset offset = audit.start; offset < audit.position; ++offset) {
      // Mostly what was acknowledged there, sometimes anything of this partition.
      std::vector<std::uint64_t> fitting, any;
      for (const PlainSend& send : small.sends) {
        if (send.object != object) continue;
        any.push_back(send.value);
        if (send.offset == offset) fitting.push_back(send.value);
      }
      const auto& from = !fitting.empty() && random.chance(3, 4) ? fitting : any;
      if (!from.empty() && random.chance(4, 5)) audit.at[offset] = from[random.below(from.size())];
    }
    small.audits.push_back(std::move(audit));
  }
  return small;
}

constexpr std::int64_t kAuditAt = 15;

history::History record(const Small& small) {
  Script s;
  struct Event {
    std::int64_t t;
    bool end;
    const PlainSend* send;
  };
  std::vector<Event> events;
  for (const PlainSend& send : small.sends) {
    events.push_back({send.invoke, false, &send});
    events.push_back({send.end, true, &send});
  }
  std::ranges::sort(events, {}, [](const Event& e) { return std::tuple(e.t, e.end, e.send->value); });
  for (const Event& e : events) {
    const Instant at(Duration(e.t));
    if (!e.end)
      s.recorder().send_invoke(at, e.send->process, e.send->object, e.send->value);
    else if (e.send->ok)
      s.recorder().send_ok(at, e.send->process, e.send->object, e.send->value, e.send->offset);
    else
      s.recorder().send_info(at, e.send->process, e.send->object, e.send->value, {"X", 1, "", false, ""});
  }
  for (std::uint16_t object = 0; object < 2; ++object) {
    const PlainAudit& audit = small.audits[object];
    const Instant at(Duration{kAuditAt});
    s.recorder().audit_start(at, 9, object, audit.start);
    for (const auto& [offset, value] : audit.at) s.recorder().audit(at, 9, object, offset, value, 0);
    s.recorder().audit_end(Instant(Duration(kAuditAt + 1)), 9, object, audit.position, audit.proven);
  }
  return s.history();
}

std::uint64_t naive_lost(const Small& small) {
  return static_cast<std::uint64_t>(std::ranges::count_if(small.sends, [&](const PlainSend& send) {
    const PlainAudit& audit = small.audits[send.object];
    if (!send.ok || small.audited(send)) return false;
    if (send.offset >= 0 && send.offset < audit.start) return false;  // retention
    if (send.offset >= 0 && send.offset < audit.position) return true;
    return audit.proven && send.end < kAuditAt && (send.offset >= 0 || audit.start == 0);
  }));
}

std::uint64_t naive_duplicates(const Small& small) {
  std::uint64_t copies = 0;
  for (const PlainAudit& audit : small.audits) {
    std::set<std::uint64_t> values;
    for (const auto& [offset, value] : audit.at) copies += values.insert(value).second ? 0 : 1;
  }
  return copies;
}

// For each send: is there another, acknowledged before it began, above it?
std::uint64_t naive_real_time(const Small& small) {
  std::set<std::pair<std::uint16_t, Offset>> taken;
  std::vector<const PlainSend*> standing;
  for (const PlainSend& send : small.sends) {
    if (!small.claims(send)) continue;
    if (taken.insert({send.object, send.offset}).second) standing.push_back(&send);
  }
  return static_cast<std::uint64_t>(std::ranges::count_if(standing, [&](const PlainSend* low) {
    return std::ranges::any_of(standing, [&](const PlainSend* high) {
      return high->object == low->object && high->offset > low->offset && high->end < low->invoke;
    });
  }));
}

std::uint64_t naive_send_order(const Small& small) {
  std::vector<const PlainSend*> order;
  for (const PlainSend& send : small.sends)
    if (small.stands(send)) order.push_back(&send);
  std::ranges::sort(order, {}, [](const PlainSend* send) { return std::pair(send->invoke, send->value); });
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < order.size(); ++i)
    count += std::any_of(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(i),
                         [&](const PlainSend* before) {
                           return before->process == order[i]->process && before->object == order[i]->object &&
                                  before->offset >= order[i]->offset;
                         })
                 ? 1
                 : 0;
  return count;
}

bool disagreed(const Verdict& verdict) {
  return std::ranges::any_of(
      verdict.reasons, [](const std::string& reason) { return reason.find("second opinion") != std::string::npos; });
}

}  // namespace

TEST_CASE("lost, duplicate and order counts equal those of definitions on random small histories") {
  Random random(20250601);
  std::uint64_t lost = 0, duplicates = 0, reordered = 0, overtaken = 0;
  for (int round = 0; round < 3000; ++round) {
    const Small small = draw(random);
    const auto verdict = check(record(small), Context{}, {.max_witnesses = 4, .threads = 1});
    REQUIRE(verdict);
    CAPTURE(round);
    REQUIRE_FALSE(disagreed(*verdict));
    REQUIRE(verdict->find("lost-write")->count == naive_lost(small));
    REQUIRE(verdict->find("duplicate")->count == naive_duplicates(small));
    REQUIRE(verdict->find("real-time-order")->count == naive_real_time(small));
    REQUIRE(verdict->find("nonmonotonic-send")->count + verdict->find("int-nonmonotonic-send")->count ==
            naive_send_order(small));
    lost += naive_lost(small);
    duplicates += naive_duplicates(small);
    reordered += naive_send_order(small);
    overtaken += naive_real_time(small);
  }
  // The rounds met each class often, and clean ones too.
  CHECK(lost > 500);
  CHECK(duplicates > 500);
  CHECK(reordered > 200);
  CHECK(overtaken > 200);
}

TEST_CASE("wild histories: nothing crashes, nothing is reported that the second opinion does not share") {
  Random random(7);
  std::set<std::string> met;
  for (int round = 0; round < 2500; ++round) {
    Script s;
    const std::uint64_t values = 1 + random.below(8);
    std::vector<std::uint64_t> sent;
    const auto value = [&] { return random.chance(1, 40) ? 90 + random.below(3) : random.below(values); };
    for (std::uint64_t step = 0; step < 24; ++step) {
      const auto object = static_cast<std::uint16_t>(random.below(2));
      const auto process = static_cast<std::uint16_t>(random.below(3));
      switch (random.below(6)) {
        case 0:
          if (sent.size() < values) {
            const std::uint64_t v = sent.size();
            sent.push_back(v);
            s.invoke(v, object, process);
            const std::uint64_t how = random.below(8);
            if (how < 5) s.ok(v, static_cast<Offset>(random.below(8)), object, process);
            if (how == 5) s.failed(v, object, process);
            if (how == 6) s.info(v, object, process);
          }
          break;
        case 1:
        case 2: {
          std::vector<std::pair<Offset, std::uint64_t>> records;
          Offset offset = static_cast<Offset>(random.below(4));
          for (std::uint64_t i = random.below(4); i > 0; --i) {
            records.emplace_back(offset, value());
            offset += static_cast<Offset>(random.below(3));
          }
          s.poll(records, object, process);
          break;
        }
        case 3:
          s.end(static_cast<Offset>(random.below(8)), static_cast<LeaderEpoch>(random.below(4)) - 1, object);
          break;
        case 4:
          s.assign(static_cast<Offset>(random.below(6)) - 1, object, process);
          break;
        default:
          break;
      }
    }
    for (std::uint16_t object = 0; object < 2; ++object) {
      std::vector<std::pair<Offset, std::uint64_t>> records;
      const auto position = static_cast<Offset>(random.below(9));
      for (Offset offset = 0; offset < position; ++offset)
        if (random.chance(4, 5)) records.emplace_back(offset, value());
      s.audit(records, position, random.chance(3, 4), object, 0, static_cast<LeaderEpoch>(random.below(3)));
    }
    CAPTURE(round);
    const auto verdict = check(s.history(), Context{});
    REQUIRE(verdict);
    REQUIRE_MESSAGE(!disagreed(*verdict), verdict->reasons.back());
    for (const Violation& violation : verdict->violations)
      if (violation.status == Standing::violated) met.insert(violation.property);
  }
  for (const std::string property :
       {"lost-write", "vanished-read", "inconsistent-offsets", "duplicate", "aborted-read", "phantom-value",
        "wrong-partition", "read-before-write", "nonmonotonic-send", "real-time-order", "end-offset-regression",
        "poll-skip", "int-poll-skip", "nonmonotonic-poll", "int-nonmonotonic-poll"}) {
    CAPTURE(property);
    CHECK(met.contains(property));
  }
}

TEST_CASE("the verdict does not depend on the number of threads") {
  Random random(99);
  for (int round = 0; round < 50; ++round) {
    const Small small = draw(random);
    const auto one = check(record(small), Context{}, {.max_witnesses = 8, .threads = 1});
    const auto many = check(record(small), Context{}, {.max_witnesses = 8, .threads = 4});
    REQUIRE(to_json(*one).dump() == to_json(*many).dump());
  }
}
