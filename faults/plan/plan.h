// The fault plan as data: what to break, when, on whom, for how long.
//
// A plan is written by a person (YAML) or drawn from a seed (draw.h). A drawn plan is again a plan: its random section
// is gone, each of its steps carries its own seed, and after a run also the targets that its roles resolved to. So one
// parser, one printer and one executor (conductor.h) serve writing, saving and replaying, in both worlds.
// Names: nodes are n1, n2, ... (node.id 1, 2, ...), client hosts c1, c2, ..., the harness's host is `harness`.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::plan {

enum class Verb {
  net_partition,
  net_simplex,
  proc_kill,
  proc_pause,
  proc_restart,
  node_crash,
  node_power_cut,
  // Worlds with simulated devices only.
  net_delay,      // links are slower
  net_clog,       // nothing arrives until the heal
  net_reset,      // connections end with RST, at the begin and by draw while it holds
  net_half_open,  // one end forgets its connections
  net_refuse,     // new connections are refused
  net_message,    // single messages of one api are late, lost, doubled or held
  disk_eio,
  disk_short_write,
  disk_full,
  disk_slow,
  disk_stall,      // calls do not return until the heal
  disk_fsync_lie,  // sync says yes and does nothing
  disk_bitflip,
  node_amnesia,  // power cut, and a new, empty disk
  clock_jump,
  clock_drift,
  // Worlds in which the harness speaks to the controller and to the clients itself.
  partition_elect,  // an ElectLeaders request
  quorum_voters,    // a voter is added to the metadata quorum, or removed from it
  clients_pause,    // producers send nothing new
  topic_set,        // topic settings, as before at the heal
};

// What a net.partition cuts. Cuts of a partition work in both directions; net.simplex is the one-way cut.
enum class Shape {
  isolate,              // each target from every other node, and from clients unless clients: keep
  halves,               // the target set from the remaining nodes; clients keep both sides unless clients: cut
  link,                 // every `from` from every `to`
  bridge,               // the target sees everyone, the rest falls into two halves (four nodes or more)
  ring,                 // every node sees only its two neighbours (four nodes or more)
  brokers_not_clients,  // isolate, but clients still reach the targets: makes a zombie leader
  client_broker,        // client hosts (`from`, default: one client) from the targets
};

enum class Clients { by_shape, keep, cut };
enum class ListenerClass { client, replication, control };  // ports 9092, 9093, 9094
enum class Direction { out, in };                           // of a net.simplex with one target set: what it drops

std::string_view verb_name(Verb verb);
std::optional<Verb> parse_verb(std::string_view name);
const std::vector<Verb>& all_verbs();
bool is_network(Verb verb);     // cuts links
bool is_link_fault(Verb verb);  // does something else to links between hosts, or to what travels on them
bool is_call_fault(Verb verb);  // concerns calls to a node's disk
bool is_request(Verb verb);     // asks the controller for something; it may refuse, and nobody waits for the answer
bool is_damage(Verb verb);      // what a node had acknowledged as durable may be gone or wrong: see Plan::loss
std::string_view shape_name(Shape shape);
std::string_view listener_name(ListenerClass listener);
std::uint16_t listener_port(ListenerClass listener);
std::string node_name(NodeId node);  // 2 -> "n2"

enum class MessageAction { delay, drop, duplicate, hold };

// Target expressions (targets.h has the language). `nodes` is the plain form; links use from/to. A request's `from` is
// the node that asks.
struct Targets {
  std::string nodes;
  std::string from;
  std::string to;
};

struct Params {
  Shape shape = Shape::isolate;
  Clients clients = Clients::by_shape;
  Direction direction = Direction::out;
  std::vector<ListenerClass> listeners;  // empty: every packet, whatever its protocol
  bool purge = true;                     // abort the connections across the cut when it heals
  bool restart = true;                   // proc.kill and crashes: start again at the end of the hold
  Duration timeout = 30s;                // for a clean stop, and for a node to serve again

  // params.h says which verb takes what.
  Duration by{};             // later by
  Duration jitter{};         // and by up to so much more
  std::uint64_t one_in = 0;  // net.reset: one write in so many meets it; 0: none after the begin
  std::string api;           // net.message: as MessageFault of the simulator; empty: any
  bool reply = false;        //
  MessageAction action = MessageAction::delay;
  std::string op;    // disk: which calls; empty: what the verb is about
  std::string path;  // of paths that contain it
  std::uint64_t skip = 0;
  std::optional<std::uint64_t> count;  // absent: one, or until healed where the verb describes a state
  bool no_space = false;               // instead of an I/O error
  std::uint64_t room = 0;              // disk.full: bytes left
  bool transient = false;              // disk.bitflip: of what is read, not of what is there
  Duration offset{};                   // clock.jump
  std::int64_t ppm = 0;                // clock.drift
  bool timers = false;                 // and of the node's timeouts too
  bool unclean = false;                // partition.elect: any live replica when there is no leader
  bool remove = false;                 // quorum.voters
  std::string topic;                   // topic.set; empty: the topic of the step's partition
  std::vector<std::pair<std::string, std::string>> set;  // topic.set
};

// "isr=1,2": compares numbers as numbers, anything else as text. `isr_size` is derived from `isr`, `node` from `n`.
struct FieldTest {
  enum class Op { eq, ne, lt, le, gt, ge };
  std::string field;
  Op op = Op::eq;
  std::string value;
};

struct EventPattern {
  std::string kind;
  std::vector<FieldTest> where;
  int nth = 1;  // the nth match counts
};

enum class Phase { begin, heal };

struct Trigger {
  enum class Kind { time, operations, event, after };
  Kind kind = Kind::time;
  Duration time{};              // since the plan started
  std::int64_t operations = 0;  // completed client operations
  EventPattern event;
  std::string since;  // event: only what happens after that step began counts
  std::string step;   // after: another step's id
  Phase phase = Phase::heal;
  Duration delay{};  // waits this long once the trigger has matched (not for time)
};

struct Until {
  EventPattern event;
  Duration timeout = 30s;
};

// One directed link: packets from `from` to `to` are dropped.
struct Cut {
  std::string from;
  std::string to;
  auto operator<=>(const Cut&) const = default;
};

// What the roles of a step meant when it fired. `role` and `epoch` say on whose word ("leader(t/0)" in epoch 5).
struct Resolution {
  std::vector<std::string> targets;  // sorted host names
  std::vector<Cut> cuts;             // sorted; network verbs only; "*" is any host (net.message)
  std::string role;
  std::int64_t epoch = -1;
  std::string holder;             // the node that held `role`
  std::vector<std::string> from;  // sorted; the two ends, where the step has two
  std::vector<std::string> to;
  std::optional<TopicPartition> partition;  // the one that bare roles spoke of
};

struct Step {
  std::string id;
  Trigger when;
  Verb verb = Verb::proc_kill;
  Targets on;
  Params params;
  std::optional<Duration> hold;  // neither hold nor until: until the plan ends
  std::optional<Until> until;
  bool required = false;
  std::string of;                      // the manoeuvre it is drawn from: then it misses when the step before it misses
  std::optional<std::uint64_t> seed;   // set by draw(): choices made while resolving
  std::optional<Resolution> resolved;  // set after firing; a replay uses it instead of the roles
};

struct Distribution {
  enum class Kind { fixed, uniform, exponential };
  Kind kind = Kind::fixed;
  Duration low{};   // fixed value, lower bound, or mean
  Duration high{};  // uniform only
};

// One step of a manoeuvre: a step but for what is drawn with it.
struct Move {
  Step step;
  std::optional<Distribution> hold;  // neither hold nor until: the random section's
  Distribution delay;                // of the step's trigger
};

// A fault, or with `moves` a manoeuvre: a short sequence of steps that is drawn as one.
struct Choice {
  std::string name;  // of a manoeuvre
  std::vector<Move> moves;
  Verb verb = Verb::proc_kill;
  Targets on;
  Params params;
  std::optional<Distribution> hold;
  std::int64_t weight = 1;
};

struct RandomSection {
  Distribution every{Distribution::Kind::exponential, 8s, {}};
  Distribution hold{Distribution::Kind::uniform, 2s, 8s};
  std::int64_t overlap = 1;  // faults active at one time, at most
  Duration start = 2s;
  std::optional<Duration> stop;  // no fault begins at or after it; default: the end of the run
  bool swarm = false;            // each seed uses a random, non-empty subset of the choices
  std::vector<Choice> choose;
};

// After the last step: heal everything, let the cluster rest, wait for it to converge.
struct Final {
  bool heal = true;
  Duration quiesce = 1s;
  Duration converge = 30s;  // budget for every partition to have a leader and a full ISR again
};

// How many nodes a plan may damage (is_damage) over its whole run. Beyond that a step misses.
enum class Loss { none, minority, any };

struct Plan {
  std::string name;
  std::string description;
  std::optional<std::uint64_t> seed;
  std::optional<Duration> time;                        // length of the driven phase
  std::string promises;                                // name of a promise set; empty: the default
  nlohmann::json workload = nlohmann::json::object();  // passed through
  nlohmann::json cluster = nlohmann::json::object();   // passed through
  std::vector<Step> steps;
  std::optional<RandomSection> random;
  Loss loss = Loss::none;
  std::int64_t min_faults = 0;  // verified faults below which the run says nothing (unknown)
  Final final;
};

// `origin` names the text in errors ("plan.yaml:7:11: steps[0].hold: ..."). Accepts YAML, and so JSON.
// Errc::invalid_argument on any unknown key, wrong type, bad target or dangling reference; never throws.
Result<Plan> parse_plan(std::string_view text, const std::string& origin);

// The inverse: parse_plan(to_json(p).dump()) gives p again.
nlohmann::json to_json(const Plan& plan);
nlohmann::json to_json(const Step& step);
nlohmann::json to_json(const Resolution& resolution);

// For people: "net.partition link, leader -> follower, replication only"; and what became of it, "n2 <-> n3".
std::string describe(const Step& step);
std::string describe(const Resolution& resolution);

// "1m30s", "250ms", "1.5s", "0s"; a bare number is refused, since nobody knows its unit.
Result<Duration> parse_duration(std::string_view text);
std::string format_duration(Duration duration);  // exact: the largest unit that divides it

// The verbs a plan needs, without repetition; and the refusal when a world cannot do them all.
std::vector<Verb> verbs_of(const Plan& plan);
Status check_verbs(const Plan& plan, const std::vector<Verb>& world, std::string_view world_name);

// Plans that come with the program: mixed (the default), kills, partitions, pauses, ...
std::vector<std::string> builtin_plan_names();
std::optional<std::string_view> builtin_plan_text(std::string_view name);

}  // namespace ordeal::plan
