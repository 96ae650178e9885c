// Every class of violation planted, found, named, proved by a witness that cannot shrink; every soundness rule kept.
#include "checker/check.h"

#include <doctest/doctest.h>

#include "checker/findings.h"
#include "checker/test_history.h"
#include "checker/witness.h"

using namespace ordeal;
using namespace ordeal::checker;
using ordeal::checker::testing::fault;
using ordeal::checker::testing::leader;
using ordeal::checker::testing::Script;

namespace {

Prop prop_named(const std::string& name) {
  for (std::size_t p = 0; p < kProps; ++p)
    if (prop_name(static_cast<Prop>(p)) == name) return static_cast<Prop>(p);
  FAIL("no property " << name);
  return Prop::count_;
}

// The only violated properties are these; each has a story and a smallest witness.
void expect_violated(const Verdict& verdict, std::vector<std::string> names) {
  CHECK(verdict.outcome == Outcome::fail);
  std::vector<std::string> found;
  for (const Property& property : verdict.properties)
    if (property.status == Standing::violated) found.push_back(property.name);
  std::ranges::sort(found);
  std::ranges::sort(names);
  CHECK(found == names);
  for (const Violation& violation : verdict.violations) {
    CAPTURE(violation.property);
    CHECK_FALSE(violation.title.empty());
    CHECK(violation.story.size() >= 2);
    if (violation.operations.empty()) continue;  // proved by batches
    const Prop prop = prop_named(violation.property);
    CHECK(breaks(prop, violation.operations));
    for (std::size_t i = 0; i < violation.operations.size(); ++i) {
      auto fewer = violation.operations;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      CHECK_FALSE(breaks(prop, fewer));
    }
  }
}

void expect_pass(const Verdict& verdict) {
  CHECK_MESSAGE(verdict.outcome == Outcome::pass, verdict.sentence);
  for (const Property& property : verdict.properties) {
    CAPTURE(property.name);
    CHECK(property.status == Standing::held);
  }
}

Context acks_one_leader_moved() {
  Context context;
  context.settings.acks = Acks::leader;
  context.faults = {
      fault(3'000'000, "fault.begin", "f1", {{"kind", "net.partition"}, {"targets", {"n1"}}, {"verified", true}}),
      fault(5'000'000, "fault.heal", "f1")};
  context.traces = {leader(1, 1, 1), leader(3'500'000, 2, 2, "2,3")};
  return context;
}

}  // namespace

TEST_CASE("a clean history passes, and every property is held") {
  Script s;
  s.send(0, 0).send(1, 1).poll({{0, 0}, {1, 1}}).send(2, 2).poll({{2, 2}}).end(3, 1);
  const Verdict verdict = s.audit({{0, 0}, {1, 1}, {2, 2}}, 3).judge();
  expect_pass(verdict);
  CHECK(verdict.counts.sends_ok == 3);
  CHECK(verdict.counts.reads == 3);
  CHECK(verdict.counts.audited == 3);
  CHECK(verdict.counts.polls == 2);
  CHECK(exit_code(verdict.outcome) == 0);
}

TEST_CASE("lost-write: acknowledged and not in the audited log") {
  const Verdict verdict = Script().send(0, 0).send(1, 1).audit({{0, 0}}, 2).judge();
  expect_violated(verdict, {"lost-write"});
  CHECK(verdict.find("lost-write")->count == 1);
  CHECK(verdict.violations.at(0).title == "value 1, acknowledged at offset 1 of t-0, is gone");
  CHECK(verdict.violations.at(0).operations.size() == 2);
  CHECK(exit_code(verdict.outcome) == 1);
}

TEST_CASE("lost-write: another value holds the offset, and the story says which") {
  const Verdict verdict = Script().send(0, 0).send(1, 1).send(2, 1).audit({{0, 0}, {1, 2}}, 2).judge();
  CHECK(verdict.find("lost-write")->violated == 1);
  CHECK(verdict.find("inconsistent-offsets")->violated == 1);  // two acknowledgements under acks=all for one offset
  bool told = false;
  for (const std::string& line : verdict.violations.at(0).story)
    told |= line.find("offset 1 holds value 2") != std::string::npos;
  CHECK(told);
}

TEST_CASE("lost-write: acknowledged beyond the proven end") {
  expect_violated(Script().send(0, 0).send(1, 1).audit({{0, 0}}, 1).judge(), {"lost-write"});
}

TEST_CASE("lost-write: acknowledged without an offset is judged only over a whole drained log") {
  expect_violated(Script().send(0, 0).send(1, -1).audit({{0, 0}}, 1).judge(), {"lost-write"});
  CHECK(Script().send(0, 0).send(1, -1).audit({{0, 0}}, 1, false).judge().outcome == Outcome::unknown);
}

TEST_CASE("lost-write: late is not lost, an unproven drain is unknown") {
  const Verdict verdict = Script().send(0, 0).send(1, 1).audit({{0, 0}}, 1, false).judge();
  CHECK(verdict.outcome == Outcome::unknown);
  CHECK(exit_code(verdict.outcome) == 2);
  CHECK(verdict.find("unseen")->status == Standing::unknown);
  CHECK(verdict.find("lost-write")->status == Standing::unknown);
}

TEST_CASE("lost-write: below what an unproven drain passed is lost all the same") {
  const Verdict verdict = Script().send(0, 0).send(1, 1).send(2, 2).audit({{0, 0}, {2, 2}}, 3, false).judge();
  expect_violated(verdict, {"lost-write"});
}

TEST_CASE("lost-write: a write acknowledged after the audit began is not the audit's business") {
  Script s;
  s.send(0, 0).audit({{0, 0}}, 1).send(1, 1);
  CHECK(s.judge().find("lost-write")->count == 0);
}

TEST_CASE("lost-write: what retention removed is nobody's loss") {
  const Verdict verdict = Script().send(0, 0).send(1, 1).audit({{1, 1}}, 2, true, 0, 1).judge();
  expect_pass(verdict);
}

TEST_CASE("vanished-read: delivered once, gone from the log") {
  const Verdict verdict = Script().send(0, 0).invoke(1).info(1).poll({{0, 0}, {1, 1}}).audit({{0, 0}}, 2).judge();
  expect_violated(verdict, {"vanished-read"});
}

TEST_CASE("inconsistent-offsets: two consumers, one offset, two values") {
  Script s;
  s.invoke(0).info(0).invoke(1, 0, 2).info(1, 0, 2).poll({{0, 0}}, 0, 8).poll({{0, 1}}, 0, 9);
  s.send(2, 1, 0, 3).audit({{0, 1}, {1, 2}}, 2);
  expect_violated(s.judge(), {"inconsistent-offsets"});
}

TEST_CASE("inconsistent-offsets: acknowledged at one offset, standing at another") {
  expect_violated(Script().send(0, 0).send(1, 1).audit({{0, 0}, {2, 1}}, 3).judge(), {"inconsistent-offsets"});
}

TEST_CASE("inconsistent-offsets: under acks=1 an acknowledgement does not speak for the high watermark") {
  Context context = acks_one_leader_moved();
  const Verdict verdict = Script().send(0, 0).send(1, 1).send(2, 1).audit({{0, 0}, {1, 2}}, 2).judge(context);
  CHECK(verdict.find("inconsistent-offsets")->count == 0);
  CHECK(verdict.find("lost-write")->status == Standing::allowed);
  CHECK(verdict.outcome == Outcome::pass);
}

TEST_CASE("duplicate: one value at two offsets") {
  const Verdict verdict = Script().send(0, 0).audit({{0, 0}, {1, 0}}, 2).judge();
  expect_violated(verdict, {"duplicate"});
}

TEST_CASE("duplicate: same producer, epoch and sequence twice is the broker's") {
  Script s;
  s.send(0, 0).audit({{0, 0}, {1, 0}}, 2).batch(0, 0, 7, 0, 0).batch(1, 1, 7, 0, 0);
  const Verdict verdict = s.judge();
  expect_violated(verdict, {"duplicate", "broken-sequence"});
}

TEST_CASE("duplicate: copies under different producer epochs are charged to the client") {
  Script s;
  s.send(0, 0).audit({{0, 0}, {1, 0}}, 2).batch(0, 0, 7, 0, 0).batch(1, 1, 7, 1, 0);
  const Verdict verdict = s.judge();
  CHECK(verdict.outcome == Outcome::pass);
  CHECK(verdict.find("duplicate")->status == Standing::allowed);
  CHECK(verdict.find("duplicate")->why.find("charged to the client") != std::string::npos);
}

TEST_CASE("duplicate: ... unless the client was told that a batch the log holds is out of order") {
  Script s;
  s.send(0, 0).audit({{0, 0}, {1, 0}}, 2).batch(0, 0, 7, 0, 0).batch(1, 1, 7, 1, 0);
  s.recorder().producer_reset({1, 5, 7, 0, 7, 1, 45, 0, 0});
  expect_violated(s.judge(), {"duplicate"});
  Script other;  // the refused batch is another one: the client's doing again
  other.send(0, 0).audit({{0, 0}, {1, 0}}, 2).batch(0, 0, 7, 0, 0).batch(1, 1, 7, 1, 0);
  other.recorder().producer_reset({1, 5, 7, 0, 7, 1, 45, 0, 3});
  CHECK(other.judge().find("duplicate")->status == Standing::allowed);
}

TEST_CASE("duplicate: a send given up as out of order that the log holds was refused wrongly") {
  Script s;
  s.send(0, 0).invoke(1).info(1, 0, 1, {"OUT_OF_ORDER_SEQUENCE_NUMBER", 45, "", false, ""});
  expect_violated(s.audit({{0, 0}, {1, 1}}, 2).judge(), {"duplicate"});
}

TEST_CASE("duplicate: a refusal of the rest of a batch is no refusal of the batch that the log holds") {
  const auto judged = [](const char* fate_of_the_first, int code) {
    Script s;
    s.send(9, 0).invoke(0).invoke(1).invoke(2).info(0, 0, 1, {fate_of_the_first, code, "", false, ""});
    for (const int value : {1, 2}) s.info(value, 0, 1, {"OUT_OF_ORDER_SEQUENCE_NUMBER", 45, "", false, ""});
    s.audit({{0, 9}, {1, 0}, {2, 1}, {3, 2}}, 4).batch(0, 0, 7, 0, 0).batch(1, 3, 7, 0, 1);
    return s.judge().find("duplicate")->status;
  };
  CHECK(judged("_MSG_TIMED_OUT", -192) ==
        Standing::allowed);  // the client gave it up and sent the others again without it
  CHECK(judged("OUT_OF_ORDER_SEQUENCE_NUMBER", 45) == Standing::violated);
}

TEST_CASE("duplicate: a deposed leader may refuse what its own log lacks") {
  Context moved;
  moved.traces = {leader(1, 1, 1), leader(2, 2, 2)};
  const auto resent = [&](NodeId by, LeaderEpoch held) {
    Script s;
    s.send(0, 0).audit({{0, 0}, {1, 0}}, 2).batch(0, 0, 7, 0, 0, held).batch(1, 1, 7, 1, 0, 2);
    s.recorder().producer_reset({1, 5, 7, 0, 7, 1, 45, 0, 0, by});
    return s.judge(moved).find("duplicate")->status;
  };
  CHECK(resent(1, 2) == Standing::allowed);   // n1 led in epoch 1 and may not have known of epoch 2
  CHECK(resent(-1, 2) == Standing::allowed);  // nobody knows who refused
  CHECK(resent(2, 2) == Standing::violated);  // n2 led from epoch 2 on and had the batch
  CHECK(resent(2, 1) == Standing::violated);  // a successor has what was committed before it
  Script given_up;
  given_up.send(0, 0).invoke(1).info(1, 0, 1, {"OUT_OF_ORDER_SEQUENCE_NUMBER", 45, "", false, ""});
  CHECK(given_up.audit({{0, 0}, {1, 1}}, 2).judge(moved).find("duplicate")->status == Standing::allowed);
}

TEST_CASE("duplicate: a leader that a watcher saw late may have led since its last look") {
  const auto judged = [](bool told_since_when) {
    Context moved;
    moved.traces = {leader(1, 1, 1), leader(9'000'000'000, 2, 2)};
    if (told_since_when) moved.traces.back().body["not_before"] = 2;
    Script s;
    s.send(0, 0).audit({{0, 0}, {1, 0}}, 2).batch(0, 0, 7, 0, 0, 2).batch(1, 1, 7, 1, 0, 2);
    s.recorder().producer_reset({1, 5, 7, 0, 7, 1, 45, 0, 0, 1});
    return s.judge(moved).find("duplicate")->status;
  };
  CHECK(judged(false) == Standing::violated);  // n1 led alone then, so it must have had the batch
  CHECK(judged(true) == Standing::allowed);
}

TEST_CASE("duplicate: a copy that no audited batch covers charges nobody") {
  Script s;
  s.send(0, 0).poll({{0, 0}, {1, 0}}).audit({{0, 0}}, 1).batch(0, 0, 7, 0, 0);
  CHECK(s.judge().find("duplicate")->status == Standing::unknown);
}

TEST_CASE("duplicate: retries without idempotence may append twice") {
  Context context;
  context.settings.idempotence = false;
  const Verdict verdict = Script().send(0, 0).audit({{0, 0}, {1, 0}}, 2).judge(context);
  CHECK(verdict.find("duplicate")->status == Standing::allowed);
  CHECK(verdict.outcome == Outcome::pass);
  context.settings.retries = false;
  CHECK(Script().send(0, 0).audit({{0, 0}, {1, 0}}, 2).judge(context).outcome == Outcome::fail);
}

TEST_CASE("aborted-read: refused for certain, yet there") {
  const Verdict verdict = Script().send(0, 0).invoke(1).failed(1).audit({{0, 0}, {1, 1}}, 2).judge();
  expect_violated(verdict, {"aborted-read"});
}

TEST_CASE("an unknown send may be there or not") {
  const Verdict there = Script().send(0, 0).invoke(1).info(1).audit({{0, 0}, {1, 1}}, 2).judge();
  expect_pass(there);
  CHECK(there.counts.info_landed == 1);
  const Verdict absent = Script().send(0, 0).invoke(1).audit({{0, 0}}, 1).judge();
  expect_pass(absent);
  CHECK(absent.counts.info_absent == 1);
}

TEST_CASE("phantom-value: nobody sent it, and the checker survives it") {
  expect_violated(Script().send(0, 0).audit({{0, 0}, {1, 77}}, 2).judge(), {"phantom-value"});
  Script s;
  s.send(0, 0).audit({{0, 0}}, 2);
  s.recorder().audit_foreign(s.now(), 20, 0, 1, {"bad_magic", 3, "abc"}, 1);
  expect_violated(s.judge(), {"phantom-value"});
}

TEST_CASE("phantom-value: a writer whose file lost its tail may have sent it") {
  history::Header header;
  header.run_id = "test";
  header.writer = "killed";
  header.value_first = 1;
  header.value_stride = 2;
  auto killed = history::Recorder::in_memory(header)->to_memory();
  killed.closed = false;
  Script s;
  s.send(0, 0).audit({{0, 0}, {1, 77}}, 2);
  auto files = s.history().files;
  files.push_back(killed);
  CHECK(check(*history::join(files), Context{})->outcome == Outcome::pass);
  files.back().closed = true;
  CHECK(check(*history::join(files), Context{})->find("phantom-value")->violated == 1);
}

TEST_CASE("wrong-partition: sent to one, found in another") {
  Script s;
  s.send(0, 0, 0).send(1, 0, 1).audit({{0, 0}}, 1, true, 0).audit({{0, 1}, {1, 0}}, 2, true, 1);
  expect_violated(s.judge(), {"wrong-partition"});
}

TEST_CASE("corrupt-value: damaged bytes, or a batch whose checksum is wrong") {
  Script s;
  s.send(0, 0).audit({{0, 0}}, 2);
  s.recorder().audit_foreign(s.now(), 20, 0, 1, {"bad_crc", 100, "ORDV"}, 1);
  expect_violated(s.judge(), {"corrupt-value"});
  expect_violated(Script().send(0, 0).audit({{0, 0}}, 1).batch(0, 0, 7, 0, 0, 1, false).judge(), {"corrupt-value"});
}

TEST_CASE("read-before-write: served before it was sent") {
  Script s;
  s.poll({{0, 0}}).send(0, 0).audit({{0, 0}}, 1);
  expect_violated(s.judge(), {"read-before-write"});
}

TEST_CASE("read-before-write: equal times are concurrent") {
  Script s;
  s.poll({{0, 0}});
  s.same_time();
  s.send(0, 0).audit({{0, 0}}, 1);
  expect_pass(s.judge());
}

TEST_CASE("nonmonotonic-send and real-time-order: acknowledged first, standing last") {
  const Verdict verdict = Script().send(0, 1).send(1, 0).audit({{0, 1}, {1, 0}}, 2).judge();
  expect_violated(verdict, {"nonmonotonic-send", "real-time-order"});
}

TEST_CASE("int-nonmonotonic-send: pipelined sends of one process changed order") {
  Script s;
  s.invoke(0).invoke(1).ok(0, 1).ok(1, 0).audit({{0, 1}, {1, 0}}, 2);
  expect_violated(s.judge(), {"int-nonmonotonic-send"});
}

TEST_CASE("sends of different processes may overtake each other while they overlap") {
  Script s;
  s.invoke(0, 0, 1).invoke(1, 0, 2).ok(0, 1, 0, 1).ok(1, 0, 0, 2).audit({{0, 1}, {1, 0}}, 2);
  expect_pass(s.judge());
}

TEST_CASE("send order follows invocations even when value ids do not") {
  Script s;
  s.invoke(1).invoke(0).ok(1, 0).ok(0, 1).audit({{0, 1}, {1, 0}}, 2);
  expect_pass(s.judge());
}

TEST_CASE("real-time-order: equal times are concurrent") {
  Script s;
  s.invoke(0, 0, 1).ok(0, 1, 0, 1);
  s.same_time();
  s.invoke(1, 0, 2).ok(1, 0, 0, 2).audit({{0, 1}, {1, 0}}, 2);
  expect_pass(s.judge());
}

TEST_CASE("end-offset-regression: a later answer of the same or a higher epoch is lower") {
  const auto script = [](LeaderEpoch first, LeaderEpoch second) {
    Script s;
    s.send(0, 0).send(1, 1).end(2, first).end(1, second).audit({{0, 0}, {1, 1}}, 2, true, 0, 0, 9);
    return s.judge();
  };
  expect_violated(script(3, 3), {"end-offset-regression"});
  expect_violated(script(3, 4), {"end-offset-regression"});
  for (const Verdict& stale : {script(4, 3), script(-1, 4), script(3, -1)}) {
    CHECK(stale.outcome == Outcome::pass);
    CHECK(stale.find("end-offset-regression")->status == Standing::allowed);
    CHECK(stale.find("end-offset-regression")->why.find("stale") != std::string::npos);
  }
}

TEST_CASE("end-offset-regression: below an acknowledged record whose epoch the leader must know") {
  Script s;
  s.send(0, 0).send(1, 1).end(1, 5).audit({{0, 0}, {1, 1}}, 2, true, 0, 0, 4);
  expect_violated(s.judge(), {"end-offset-regression"});
}

TEST_CASE("end-offset-regression: concurrent answers order nothing") {
  Script s;
  s.send(0, 0).send(1, 1);
  s.recorder().list_end_invoke(s.now(), 5, 0);
  s.recorder().list_end_invoke(s.now(), 6, 0);
  s.recorder().list_end_ok(s.now(), 5, 0, 2, 9);
  s.recorder().list_end_ok(s.now(), 6, 0, 2, 9);
  expect_pass(s.audit({{0, 0}, {1, 1}}, 2).judge());
}

TEST_CASE("poll-skip and int-poll-skip: a committed record passed over") {
  Script between;
  between.send(0, 0).send(1, 1).send(2, 2).poll({{0, 0}}).poll({{2, 2}}).audit({{0, 0}, {1, 1}, {2, 2}}, 3);
  expect_violated(between.judge(), {"poll-skip"});
  Script within;
  within.send(0, 0).send(1, 1).send(2, 2).poll({{0, 0}, {2, 2}}).audit({{0, 0}, {1, 1}, {2, 2}}, 3);
  expect_violated(within.judge(), {"int-poll-skip"});
}

TEST_CASE("poll-skip: the first read after an assignment may not skip either") {
  Script s;
  s.send(0, 0).send(1, 1).assign(0).poll({{1, 1}}).audit({{0, 0}, {1, 1}}, 2);
  expect_violated(s.judge(), {"poll-skip"});
}

TEST_CASE("poll-skip: gaps that nobody fills are control batches, and starting late is no skip") {
  Script s;
  s.send(0, 0).send(1, 5).poll({{0, 0}, {5, 1}}).poll({{5, 1}}, 0, 10).audit({{0, 0}, {5, 1}}, 6);
  expect_pass(s.judge());
}

TEST_CASE("poll-skip: subscribed consumers and a reset to the latest are not judged") {
  const auto judged = [](const std::string& key, const std::string& value) {
    Script s(2, {{key, value}});
    s.send(0, 0).send(1, 1).send(2, 2).poll({{0, 0}}).poll({{2, 2}}).audit({{0, 0}, {1, 1}, {2, 2}}, 3);
    return s.judge();
  };
  CHECK(judged("consumer.mode", "subscribe").find("poll-skip")->promised == Promise::not_judged);
  CHECK(judged("consumer.mode", "subscribe").outcome == Outcome::pass);
  CHECK(judged("auto.offset.reset", "latest").outcome == Outcome::pass);
  CHECK(judged("auto.offset.reset", "earliest").outcome == Outcome::fail);
}

TEST_CASE("nonmonotonic-poll and int-nonmonotonic-poll: a position went back") {
  Script between;
  between.send(0, 0).send(1, 1).poll({{0, 0}, {1, 1}}).poll({{0, 0}}).audit({{0, 0}, {1, 1}}, 2);
  expect_violated(between.judge(), {"nonmonotonic-poll"});
  Script within;
  within.send(0, 0).send(1, 1).poll({{1, 1}, {0, 0}}).audit({{0, 0}, {1, 1}}, 2);
  expect_violated(within.judge(), {"int-nonmonotonic-poll"});
}

TEST_CASE("nonmonotonic-poll: an assignment begins anew") {
  Script s;
  s.send(0, 0).send(1, 1).poll({{0, 0}, {1, 1}}).assign(0).poll({{0, 0}, {1, 1}}).audit({{0, 0}, {1, 1}}, 2);
  expect_pass(s.judge());
}

TEST_CASE("log-epoch-order: leader epochs fall along the log") {
  Script s;
  s.send(0, 0).send(1, 1).audit({{0, 0}, {1, 1}}, 2).batch(0, 0, -1, -1, -1, 5).batch(1, 1, -1, -1, -1, 4);
  expect_violated(s.judge(), {"log-epoch-order"});
}

TEST_CASE("broken-sequence: a gap is one, the wrap at 2^31 is none") {
  Script gap;
  gap.send(0, 0).send(1, 1).audit({{0, 0}, {1, 1}}, 2).batch(0, 0, 7, 0, 0).batch(1, 1, 7, 0, 2);
  expect_violated(gap.judge(), {"broken-sequence"});
  Script wrap;
  wrap.send(0, 0).send(1, 1).audit({{0, 0}, {1, 1}}, 2).batch(0, 0, 7, 0, 0x7FFFFFFF).batch(1, 1, 7, 0, 0);
  expect_pass(wrap.judge());
}

TEST_CASE("no successful operation is unknown, never a pass") {
  CHECK(Script().judge().outcome == Outcome::unknown);
  CHECK(Script().invoke(0).info(0).audit({}, 0).judge().outcome == Outcome::unknown);
  CHECK(Script().send(0, 0).judge().outcome == Outcome::unknown);  // never audited
}

TEST_CASE("required faults, min_faults and harness gaps make it unknown") {
  const auto judged = [](const Context& context) { return Script().send(0, 0).audit({{0, 0}}, 1).judge(context); };
  Context context;
  context.min_faults = 1;
  CHECK(judged(context).outcome == Outcome::unknown);
  context.faults = {fault(1, "fault.begin", "f1", {{"kind", "proc.kill"}, {"verified", false}})};
  CHECK(judged(context).outcome == Outcome::unknown);
  context.faults[0].body["verified"] = true;
  CHECK(judged(context).outcome == Outcome::pass);
  context.required_faults = {"f2"};
  CHECK(judged(context).outcome == Outcome::unknown);
  CHECK(judged(context).sentence.find("f2") != std::string::npos);
  context.required_faults = {"f1"};
  CHECK(judged(context).outcome == Outcome::pass);
  context.harness_gaps = {"faults.jsonl ends before nemesis.stop"};
  CHECK(judged(context).outcome == Outcome::unknown);
}

TEST_CASE("a violation outranks what is unknown") {
  Context context;
  context.min_faults = 5;
  CHECK(Script().send(0, 0).send(1, 1).audit({{0, 0}}, 2).judge(context).outcome == Outcome::fail);
}

TEST_CASE("acks=1: lost records are named and allowed; --promise durable makes both the loss and the setting fail") {
  Context context = acks_one_leader_moved();
  const auto script = [] { return Script().send(0, 0).send(1, 1).audit({{0, 0}}, 1).history(); };
  const auto declared = check(script(), context);
  CHECK(declared->outcome == Outcome::pass);
  CHECK(declared->find("lost-write")->status == Standing::allowed);
  CHECK(declared->violations.at(0).title == "value 1, acknowledged at offset 1 of t-0, is gone");
  CHECK(declared->violations.at(0).faults == std::vector<std::string>{"f1"});
  context.promise_set = "durable";
  const auto durable = check(script(), context);
  CHECK(durable->outcome == Outcome::fail);
  CHECK(durable->find("lost-write")->status == Standing::violated);
  CHECK(durable->find("settings")->status == Standing::violated);
}

TEST_CASE("a setting too weak for the promise set is a violation even when nothing was lost") {
  Context context;
  context.promise_set = "durable";
  context.settings.acks = Acks::leader;
  CHECK(Script().send(0, 0).audit({{0, 0}}, 1).judge(context).outcome == Outcome::fail);
  context.settings.acks = Acks::all;
  CHECK(Script().send(0, 0).audit({{0, 0}}, 1).judge(context).outcome == Outcome::pass);
  context.promise_set = "no such set";
  CHECK(check(Script().history(), context).error().code == Errc::invalid_argument);
}

TEST_CASE("a client weaker than the trial declared is judged by its own settings, and the verdict says so") {
  Script s(2, {{"acks", "1"}});
  Context context = acks_one_leader_moved();
  context.settings.acks = Acks::all;
  const Verdict verdict = s.send(0, 0).send(1, 1).audit({{0, 0}}, 1).judge(context);
  CHECK(verdict.find("lost-write")->status == Standing::allowed);
  bool noted = false;
  for (const std::string& reason : verdict.reasons) noted |= reason.find("weaker") != std::string::npos;
  CHECK(noted);
}

TEST_CASE("acks=1 in a partition whose leader stayed keeps its promise") {
  Context context = acks_one_leader_moved();
  context.traces.push_back(leader(1, 3, 1, "1,2,3", "t", 1));
  Script s;
  s.send(0, 0, 1).send(1, 1, 1).send(2, 0, 0).audit({{0, 2}}, 1).audit({{0, 0}}, 1, true, 1);
  CHECK(s.judge(context).find("lost-write")->status == Standing::violated);
}

TEST_CASE("harness faults in the history itself are errors, not verdicts") {
  CHECK(check(Script().invoke(0).invoke(0).history(), Context{}).error().code == Errc::corrupt);
  CHECK(check(Script().ok(0, 0).history(), Context{}).error().code == Errc::corrupt);
  CHECK(check(Script().send(0, 0).ok(0, 0).history(), Context{}).error().code == Errc::corrupt);
  CHECK(check(Script().invoke(1ULL << 39).history(), Context{}).error().code == Errc::corrupt);
  CHECK(check(Script(2, {{"acks", "perhaps"}}).send(0, 0).history(), Context{}).error().code == Errc::invalid_argument);
}

TEST_CASE("a broker that jumps far ahead costs no memory and is judged") {
  Script s;
  s.send(0, 0).send(1, 1LL << 50).poll({{0, 0}, {1LL << 50, 1}}).audit({{0, 0}, {1LL << 50, 1}}, (1LL << 50) + 1);
  expect_pass(s.judge());
}

TEST_CASE("a history of another run than the trial's is refused") {
  Context context;
  context.run_id = "another";
  CHECK(check(Script().send(0, 0).history(), context).error().code == Errc::corrupt);
}

TEST_CASE("without a record of faults acks=1 is given the benefit of the doubt, acks=all is not") {
  Context context;
  context.faults_known = false;
  CHECK(Script().send(0, 0).send(1, 1).audit({{0, 0}}, 2).judge(context).outcome == Outcome::fail);
  context.settings.acks = Acks::leader;
  const Verdict verdict = Script().send(0, 0).send(1, 1).audit({{0, 0}}, 2).judge(context);
  CHECK(verdict.find("lost-write")->status == Standing::allowed);
}

TEST_CASE("a dropped trace matters only where promises depend on it") {
  Context context;
  context.traces = {{5, 1, "trace.dropped", {{"count", 3}}}};
  CHECK(Script().send(0, 0).audit({{0, 0}}, 1).judge(context).outcome == Outcome::pass);
  context.settings.acks = Acks::leader;
  CHECK(Script().send(0, 0).audit({{0, 0}}, 1).judge(context).outcome == Outcome::unknown);
}
