// One test a cell of the matrix: what each configuration promises after each kind of trouble. The tables below are
// written from the documentation, not from promises.json.
#include "checker/promises.h"

#include <doctest/doctest.h>

#include "checker/findings.h"

using namespace ordeal;
using namespace ordeal::checker;

namespace {

constexpr Promise P = Promise::promised;
constexpr Promise A = Promise::allowed;
constexpr Promise N = Promise::not_judged;

Facts calm() {
  Facts facts = setting_facts(Settings{});
  for (const char* fact : {"fault_acted", "leader_moved", "leader_changed", "unclean_election", "power_cut",
                           "safe_set_lost_power", "storage_damaged", "safe_set_damaged"})
    facts[fact] = "no";
  return facts;
}

Promise judge(std::string_view property, const Facts& changes, std::string_view set = "declared") {
  Facts facts = calm();
  for (const auto& [fact, value] : changes) facts[fact] = value;
  const Judgement judgement = Promises::standard().judge(property, facts, set);
  CHECK_FALSE(judgement.because.empty());
  return judgement.promise;
}

struct Cell {
  Facts facts;
  Promise none, leader, all;  // acks
};

const Facts kFault{{"fault_acted", "yes"}};
Facts with(Facts more) {
  more["fault_acted"] = "yes";
  return more;
}

}  // namespace

TEST_CASE("the matrix parses, names every property in the checker's order, and ends every rule list") {
  REQUIRE(Promises::standard().properties().size() == kProps);
  CHECK(prop_name(Prop::lost_write) == "lost-write");
  CHECK(prop_name(Prop::inconsistent_offsets) == "inconsistent-offsets");
  CHECK(prop_name(Prop::duplicate) == "duplicate");
  CHECK(prop_name(Prop::corrupt_value) == "corrupt-value");
  CHECK(prop_name(Prop::real_time_order) == "real-time-order");
  CHECK(prop_name(Prop::end_offset_regression) == "end-offset-regression");
  CHECK(prop_name(Prop::int_nonmonotonic_poll) == "int-nonmonotonic-poll");
  CHECK(prop_name(Prop::broken_sequence) == "broken-sequence");
  CHECK(Promises::standard().set_names() == std::vector<std::string>{"declared", "durable", "idempotent", "ordered"});
}

TEST_CASE("produce: no acknowledged record is lost") {
  const std::vector<Cell> cells{
      {{}, A, P, P},                               // no fault that acted; acks=0 hears of no lost connection
      {kFault, A, P, P},                           // faults, but this leader stayed
      {with({{"leader_moved", "yes"}}), A, A, P},  // kill, pause, partition, restart; clean
      {with({{"leader_moved", "yes"}, {"leader_changed", "yes"}}), A, A, P},
      {with({{"power_cut", "yes"}, {"durability", "page_cache"}}), A, A, P},
      {with({{"power_cut", "yes"}, {"durability", "page_cache"}, {"safe_set_lost_power", "yes"}}), A, A, A},
      {with({{"power_cut", "yes"}, {"durability", "fsync"}, {"leader_moved", "yes"}}), A, P,
       P},  // it came back as leader
      {with({{"power_cut", "yes"}, {"durability", "fsync"}, {"leader_moved", "yes"}, {"leader_changed", "yes"}}), A, A,
       P},
      {with({{"power_cut", "yes"}, {"durability", "fsync"}, {"safe_set_lost_power", "yes"}}), A, P, P},
      {with({{"unclean_election", "yes"}}), A, A, A},
      {with({{"storage_damaged", "yes"}}), A, A, P},
      {with({{"storage_damaged", "yes"}, {"safe_set_damaged", "yes"}}), A, A, A},
  };
  for (std::size_t i = 0; i < cells.size(); ++i) {
    CAPTURE(i);
    for (const auto& [acks, expected] :
         {std::pair("0", cells[i].none), std::pair("1", cells[i].leader), std::pair("all", cells[i].all)}) {
      CAPTURE(acks);
      Facts facts = cells[i].facts;
      facts["acks"] = acks;
      CHECK(judge("lost-write", facts) == expected);
    }
  }
  CHECK(judge("lost-write", {{"compaction", "yes"}}) == N);
  CHECK(judge("unseen", {{"acks", "all"}}) == P);
  CHECK(judge("unseen", {{"acks", "1"}}) == P);
  CHECK(judge("unseen", {{"acks", "0"}}) == A);
  CHECK(judge("unseen", {{"compaction", "yes"}}) == N);
}

TEST_CASE("produce: what is below the high watermark stays, whatever acks say") {
  for (const char* property : {"vanished-read", "inconsistent-offsets"}) {
    for (const char* acks : {"0", "1", "all"}) {
      CHECK(judge(property, with({{"acks", acks}, {"leader_moved", "yes"}})) == P);
      CHECK(judge(property, with({{"acks", acks}, {"unclean_election", "yes"}})) == A);
      CHECK(judge(property, with({{"acks", acks}, {"safe_set_lost_power", "yes"}, {"durability", "page_cache"}})) == A);
      CHECK(judge(property, with({{"acks", acks}, {"safe_set_lost_power", "yes"}, {"durability", "fsync"}})) == P);
      CHECK(judge(property, with({{"acks", acks}, {"safe_set_damaged", "yes"}})) == A);
      CHECK(judge(property, with({{"acks", acks}, {"storage_damaged", "yes"}})) == P);
      CHECK(judge(property, {{"acks", acks}, {"compaction", "yes"}}) == N);
    }
  }
}

TEST_CASE("produce: duplicates and order") {
  for (const char* retries : {"off", "on"})
    for (const char* flight : {"one", "many"})
      for (const char* idempotence : {"off", "on"}) {
        const Facts facts{{"retries", retries}, {"in_flight", flight}, {"idempotence", idempotence}};
        const bool on = facts.at("idempotence") == "on";
        const bool off = facts.at("retries") == "off";
        CHECK(judge("duplicate", facts) == (on || off ? P : A));
        const bool order = on || off || facts.at("in_flight") == "one";
        CHECK(judge("nonmonotonic-send", facts) == (order ? P : A));
        CHECK(judge("int-nonmonotonic-send", facts) == (order ? P : A));
        CHECK(judge("broken-sequence", facts) == (on ? P : N));
      }
  CHECK(judge("broken-sequence", {{"unclean_election", "yes"}}) == A);
  CHECK(judge("broken-sequence", {{"compaction", "yes"}}) == N);
  CHECK(judge("broken-sequence", {{"safe_set_damaged", "yes"}}) == A);
  CHECK(judge("broken-sequence", {{"safe_set_lost_power", "yes"}, {"durability", "page_cache"}}) == A);
}

TEST_CASE("produce: violations in every configuration") {
  for (const char* property : {"aborted-read", "phantom-value", "wrong-partition", "corrupt-value", "read-before-write",
                               "int-nonmonotonic-poll", "log-epoch-order"}) {
    CHECK(judge(property, {}) == P);
    CHECK(judge(property, with({{"acks", "0"},
                                {"unclean_election", "yes"},
                                {"safe_set_damaged", "yes"},
                                {"idempotence", "off"},
                                {"consumer", "subscribe"}})) == P);
  }
}

TEST_CASE("produce: real-time order and the end offset") {
  CHECK(judge("real-time-order", {{"acks", "all"}}) == P);
  CHECK(judge("real-time-order", {{"acks", "1"}}) == N);
  CHECK(judge("real-time-order", {{"acks", "0"}}) == N);
  for (const char* property : {"real-time-order", "end-offset-regression"}) {
    CHECK(judge(property, with({{"leader_moved", "yes"}, {"leader_changed", "yes"}})) == P);
    CHECK(judge(property, with({{"unclean_election", "yes"}})) == A);
    CHECK(judge(property, with({{"safe_set_lost_power", "yes"}, {"durability", "page_cache"}})) == A);
    CHECK(judge(property, with({{"safe_set_lost_power", "yes"}, {"durability", "fsync"}})) == P);
    CHECK(judge(property, with({{"safe_set_damaged", "yes"}})) == A);
  }
  CHECK(judge("end-offset-regression", {{"acks", "1"}}) == P);
}

TEST_CASE("consume: assigned and subscribed") {
  CHECK(judge("poll-skip", {{"consumer", "assign"}}) == P);
  CHECK(judge("poll-skip", {{"consumer", "subscribe"}}) == N);
  CHECK(judge("poll-skip", {{"reset", "latest"}}) == N);
  CHECK(judge("poll-skip", {{"compaction", "yes"}}) == N);
  CHECK(judge("int-poll-skip", {{"consumer", "subscribe"}}) == P);
  CHECK(judge("int-poll-skip", {{"compaction", "yes"}}) == N);
  CHECK(judge("nonmonotonic-poll", {{"consumer", "assign"}}) == P);
  CHECK(judge("nonmonotonic-poll", {{"consumer", "subscribe"}}) == N);
}

TEST_CASE("a named set takes the excuses of weak settings away, and names the settings that are too weak") {
  CHECK(judge("lost-write", with({{"acks", "1"}, {"leader_moved", "yes"}})) == A);
  CHECK(judge("lost-write", with({{"acks", "1"}, {"leader_moved", "yes"}}), "durable") == P);
  CHECK(judge("lost-write", with({{"unclean_election", "yes"}}), "durable") == P);
  CHECK(judge("lost-write", with({{"safe_set_damaged", "yes"}}), "durable") == A);  // no setting helps against that
  CHECK(judge("duplicate", {{"idempotence", "off"}}, "durable") == A);              // not in that set
  CHECK(judge("duplicate", {{"idempotence", "off"}}, "idempotent") == P);
  CHECK(judge("real-time-order", {{"acks", "1"}}, "ordered") == P);
  Settings weak;
  weak.acks = Acks::leader;
  weak.idempotence = false;
  weak.unclean = true;
  CHECK(Promises::standard().weaknesses("declared", setting_facts(weak)).empty());
  CHECK(Promises::standard().weaknesses("durable", setting_facts(weak)).size() == 2);
  CHECK(Promises::standard().weaknesses("idempotent", setting_facts(weak)).size() == 1);
  CHECK(Promises::standard().weaknesses("ordered", setting_facts(weak)).size() == 3);
  CHECK(Promises::standard().weaknesses("durable", setting_facts(Settings{})).empty());
}

TEST_CASE("a damaged matrix is refused") {
  CHECK_FALSE(Promises::parse("{"));
  CHECK_FALSE(Promises::parse(R"({"facts":{},"properties":[{"name":"x","title":"x","rules":[]}],"sets":{}})"));
  CHECK_FALSE(Promises::parse(
      R"({"facts":{"acks":["1"]},"properties":[{"name":"x","title":"x","rules":[
          {"when":{"acks":"7"},"then":"allowed","because":"y"},{"then":"promised","because":"z"}]}],"sets":{}})"));
}

TEST_CASE("settings are read under Kafka's names, and impossible ones are refused") {
  const auto settings = parse_settings({{"acks", "-1"},
                                        {"enable.idempotence", "false"},
                                        {"retries", "0"},
                                        {"max.in.flight.requests.per.connection", "1"},
                                        {"log.flush.interval.messages", "1"},
                                        {"unclean.leader.election.enable", "true"},
                                        {"isolation.level", "read_uncommitted"},
                                        {"consumer.mode", "subscribe"},
                                        {"auto.offset.reset", "latest"},
                                        {"log.cleanup.policy", "compact,delete"},
                                        {"min.insync.replicas", "2"},
                                        {"client.id", "whatever"}});
  REQUIRE(settings);
  CHECK(settings->acks == Acks::all);
  CHECK_FALSE(settings->idempotence);
  CHECK_FALSE(settings->retries);
  CHECK(settings->one_in_flight);
  CHECK(settings->fsync);
  CHECK(settings->unclean);
  CHECK_FALSE(settings->read_committed);
  CHECK(settings->subscribe);
  CHECK(settings->reset_latest);
  CHECK(settings->compaction);
  CHECK(settings->min_isr == 2);
  for (const auto& [key, value] : std::map<std::string, std::string>{{"acks", "2"},
                                                                     {"enable.idempotence", "maybe"},
                                                                     {"retries", "-3"},
                                                                     {"isolation.level", "none"},
                                                                     {"min.insync.replicas", "0"},
                                                                     {"consumer.mode", "x"}}) {
    CAPTURE(key);
    CHECK(parse_settings({{key, value}}).error().text.find(key) != std::string::npos);
  }
}
