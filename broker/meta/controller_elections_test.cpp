// Eligibility and elections: who may lead after which stop (KIP-966), and what a proposal may not do (KIP-841, 903).
#include "broker/meta/controller_fixture.h"

namespace ordeal::meta {
namespace {

using mutation::Bug;

// Three brokers, one partition {1,2,3} with a minimum of two in-sync replicas; a fourth broker for the quorum's sake.
struct Eligible : Fixture {
  explicit Eligible(bool durable) { begin(durable); }
  Eligible(bool durable, Bug bug) : Fixture(bug) { begin(durable); }
  void begin(bool durable) {
    log_durable = durable;
    add_brokers(4);
    REQUIRE(create_on("t", {{1, 2, 3}}).error_code() == 0);
    REQUIRE(alter_config("t", "min.insync.replicas", "2").error_code() == 0);
  }
  const PartitionImage& t() const { return part("t"); }
};

TEST_CASE("who leaves a sufficient ISR is not eligible; below the minimum it is, until the ISR is sufficient again") {
  Eligible f(true);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}, {2, kNow}}}) == 0);
  CHECK(f.t().elr.empty());
  REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
  CHECK(f.t().isr == Nodes{1});
  CHECK(f.t().elr == Nodes{2});
  REQUIRE(f.alter_error("t", {1, {{1, kNow}, {3, kNow}}}) == 0);
  CHECK(f.t().isr == Nodes{1, 3});
  CHECK(f.t().elr.empty());
}

TEST_CASE("a member that joins again leaves the ELR") {
  Eligible f(true);
  REQUIRE(f.alter_config("t", "min.insync.replicas", "3").error_code() == 0);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
  CHECK(f.t().elr == Nodes{2, 3});
  REQUIRE(f.alter_error("t", {1, {{1, kNow}, {3, kNow}}}) == 0);
  CHECK(f.t().isr == Nodes{1, 3});
  CHECK(f.t().elr == Nodes{2});
}

TEST_CASE("when the ISR has nobody to elect the ELR is asked, and only then") {
  Eligible f(true);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}, {3, kNow}}}) == 0);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
  REQUIRE(f.t().elr == Nodes{3});
  f.pass(3s, {2, 3, 4});
  CHECK(f.t().leader == 3);  // 2 is active and comes first, but left when records could still be committed without it
  CHECK(f.t().isr == Nodes{3});
  CHECK(f.t().elr == Nodes{1});
}

TEST_CASE("a minimum that is lowered ends the eligibility of those the leader no longer waits for") {
  Eligible f(true);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
  REQUIRE(f.t().elr == Nodes{2, 3});
  REQUIRE(f.alter_config("t", "min.insync.replicas", std::nullopt).error_code() == 0);
  CHECK(f.t().elr.empty());
  CHECK(f.t().isr == Nodes{1});
}

TEST_CASE("an unclean stop costs eligibility where acknowledged records may lie in the page cache, and only there") {
  for (const bool durable : {true, false}) {
    CAPTURE(durable);
    Eligible f(durable);
    REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
    f.pass(3s, {3, 4});  // 1 and 2 die; 3 leads from the ELR
    REQUIRE(f.t().leader == 3);
    REQUIRE(f.t().elr == Nodes{1, 2});
    f.restart(2);
    CHECK(f.t().elr == (durable ? Nodes{1, 2} : Nodes{1}));
  }
}

TEST_CASE("a clean stop is believed if the marker names the epoch of the last incarnation") {
  Eligible f(false);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
  const BrokerEpoch first = f.epoch(2);
  f.pass(3s, {1, 3, 4});
  const BrokerEpoch second = f.restart(2, {first});
  CHECK(f.t().elr == Nodes{2, 3});
  (void)f.heartbeat(2);
  f.pass(3s, {1, 3, 4});
  REQUIRE(second != first);
  f.restart(2, {first});  // the marker is older than the incarnation that ended now
  CHECK(f.t().elr == Nodes{3});
}

TEST_CASE("whoever comes with a new log directory has lost everything, however durable it was") {
  Eligible f(true);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
  const BrokerEpoch first = f.epoch(2);
  f.pass(3s, {1, 3, 4});
  f.restart(2, {first, /*log_kept=*/false});
  CHECK(f.t().elr == Nodes{3});
}

TEST_CASE("the last member of the ISR does not lead after an unclean stop while another has all that is committed") {
  Eligible f(false);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}, {2, kNow}}}) == 0);
  const BrokerEpoch two = f.epoch(2);
  f.pass(3s, {1, 3, 4});
  REQUIRE(f.t().isr == Nodes{1});
  REQUIRE(f.t().elr == Nodes{2});
  f.pass(3s, {3, 4});
  REQUIRE(f.t().leader == kNoNode);
  REQUIRE(f.t().elr == Nodes{1, 2});
  f.restart(1);
  (void)f.heartbeat(1);
  CHECK(f.t().leader == kNoNode);
  CHECK(f.t().elr == Nodes{2});
  f.restart(2, {two});
  (void)f.heartbeat(2);
  CHECK(f.t().leader == 2);
  CHECK(f.t().isr == Nodes{2});
  CHECK(f.t().last_known_elr.empty());
}

TEST_CASE("with the bug the last member of the ISR leads again after an unclean stop") {
  Eligible f(false, Bug::isr_keep_unclean_last);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}, {2, kNow}}}) == 0);
  f.pass(3s, {1, 3, 4});
  f.pass(3s, {3, 4});
  REQUIRE(f.t().leader == kNoNode);
  f.restart(1);
  (void)f.heartbeat(1);
  CHECK(f.t().leader == 1);
  CHECK(f.switches.ran(Bug::isr_keep_unclean_last) == 1);
}

TEST_CASE("the leader lost last comes back when an unclean stop left nobody eligible") {
  Eligible f(false);
  f.pass(3s, {4});  // all replicas die at once
  REQUIRE(f.t().leader == kNoNode);
  REQUIRE(f.t().last_known_elr.size() == 1);
  const NodeId last = f.t().last_known_elr.front();
  const auto be_back = [&](NodeId id) {
    f.restart(id);
    (void)f.heartbeat(id);
  };
  be_back(last);
  CHECK(f.t().leader == kNoNode);  // others are still eligible
  for (const NodeId id : {1, 2, 3})
    if (id != last) be_back(id);
  CHECK(f.t().leader == last);
  CHECK(f.t().isr == Nodes{last});
  CHECK(f.t().elr.empty());
  CHECK(f.t().last_known_elr.empty());
}

TEST_CASE("an unclean stop of a broker that is not fenced yet ends its leadership and its eligibility in one step") {
  Eligible f(false);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}}}) == 0);
  REQUIRE(f.t().elr == Nodes{2, 3});
  f.now += f.config.session_timeout;  // over, but no tick has come yet
  f.restart(1);
  CHECK(f.t().leader == 2);
  CHECK(f.t().isr == Nodes{2});
  CHECK(f.t().elr == Nodes{3});
}

TEST_CASE("an unclean election gives up what others have") {
  Eligible f(true);
  REQUIRE(f.alter_error("t", {1, {{1, kNow}, {2, kNow}}}) == 0);
  f.pass(3s, {4});
  REQUIRE(f.t().leader == kNoNode);
  f.restart(3);
  (void)f.heartbeat(3);
  CHECK(f.t().leader == kNoNode);
  ControllerRequest request;
  request.mutable_elect_leaders()->set_unclean(true);
  const auto elected = f.call(request).elect_leaders();
  REQUIRE(elected.partitions_size() == 1);
  CHECK(elected.partitions(0).error_code() == 0);
  CHECK(f.t().leader == 3);
  CHECK(f.t().isr == Nodes{3});
  CHECK(f.t().elr.empty());
}

// ---- what a proposal may not do ----

TEST_CASE("a joiner must be named by its broker epoch, a member may be kept without") {
  Eligible f(true);
  REQUIRE(f.alter_error("t", {1, {{1, -1}, {2, -1}}}) == 0);
  CHECK(f.alter_error("t", {1, {{1, -1}, {2, -1}, {3, -1}}}) == error_code::kIneligibleReplica);
  CHECK(f.alter_error("t", {1, {{1, -1}, {2, -1}, {3, kNow}}}) == 0);
}

TEST_CASE("a joiner that restarted since it fetched is refused; with the bug it is admitted") {
  for (const bool buggy : {false, true}) {
    CAPTURE(buggy);
    Eligible f(true);
    if (buggy) f.switches.turn_on(Bug::isr_ignore_broker_epoch);
    const BrokerEpoch fetched_as = f.epoch(3);
    f.pass(3s, {1, 2, 4});
    REQUIRE(f.t().isr == Nodes{1, 2});
    f.restart(3);
    REQUIRE_FALSE(f.heartbeat(3).is_fenced());
    const std::int32_t error = f.alter_error("t", {1, {{1, kNow}, {2, kNow}, {3, fetched_as}}});
    CHECK(error == (buggy ? 0 : error_code::kIneligibleReplica));
    CHECK(f.switches.ran(Bug::isr_ignore_broker_epoch) == (buggy ? 1 : 0));
    CHECK(f.t().in_isr(3) == buggy);
  }
}

TEST_CASE("a fenced replica is refused; with the bug it is admitted") {
  for (const bool buggy : {false, true}) {
    CAPTURE(buggy);
    Eligible f(true);
    if (buggy) f.switches.turn_on(Bug::ctl_isr_allows_fenced);
    f.pass(3s, {1, 2, 4});
    REQUIRE(f.image().broker(3)->fenced);
    const std::int32_t error = f.alter_error("t", {1, {{1, kNow}, {2, kNow}, {3, kNow}}});
    CHECK(error == (buggy ? 0 : error_code::kIneligibleReplica));
    CHECK(f.t().in_isr(3) == buggy);
  }
}

TEST_CASE("a deposed leader's proposal is refused; with the bug it undoes the election that deposed it") {
  for (const bool buggy : {false, true}) {
    CAPTURE(buggy);
    Eligible f(true);
    if (buggy) f.switches.turn_on(Bug::ctl_accept_stale_epoch);
    const ControllerRequest late = f.alter_request("t", {1, {{1, kNow}, {3, kNow}}});
    f.pass(3s, {2, 3, 4});
    REQUIRE(f.t().leader == 2);
    const std::int32_t error = f.call(late).alter_partition().partitions(0).error_code();
    CHECK(error == (buggy ? 0 : error_code::kFencedLeaderEpoch));
    CHECK(f.t().leader == (buggy ? 1 : 2));
    CHECK(f.t().isr == (buggy ? Nodes{1, 3} : Nodes{2, 3}));
    CHECK(f.t().leader_epoch == (buggy ? 2 : 1));
  }
}

}  // namespace
}  // namespace ordeal::meta
