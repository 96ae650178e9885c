// Manoeuvres of drawn worlds: short sequences of faults that the literature on replication knows to be dangerous,
// because each fault meets what the one before it left behind. Independent faults seldom line up like that.
//
// Invariant: like any mix they are legal for a correct broker, and none damages a node; the damage is in a class apart.
#include <array>

#include "faults/sim/swarm/settings.h"

namespace ordeal::sim {
namespace {

// A follower hears nothing of the controller and goes on fetching from a leader that loses and regains the lead.
constexpr std::string_view kZombie = R"yaml(
    - name: zombie follower
      weight: 4
      steps:
        - {id: behind, do: net.partition, on: {from: leader, to: follower}, params: {shape: link, listeners: [replication]}, until: {event: partition.leader, timeout: 12s}}
        - {id: deaf, when: {after: behind, phase: begin, delay: {uniform: [0s, 400ms]}}, do: net.partition, on: "followers - to(behind)",
                           params : {shape : isolate, listeners : [control]}, hold : {
uniform:
  [ 8s, 18s ]
}
}
        - {id: gone, when: {after: deaf, phase: begin, delay: {uniform: [500ms, 5s]}}, do: net.partition, on: from(behind), params: {shape: isolate, listeners: [control]}, until: {event: partition.leader, timeout: 10s}}
        - {id: back, when: {after: gone, delay: {uniform: [1s, 4s]}}, do: proc.kill, on: leader, hold: {uniform: [500ms, 3s]}}
        - {id: lead, when: {after: deaf, delay: {uniform: [500ms, 3s]}}, do: proc.kill, on: leader, hold: {uniform: [500ms, 2s]}}
        - {id: next, when: {after: lead, delay: {uniform: [500ms, 2s]}}, do: proc.kill, on: leader, hold: {uniform: [500ms, 2s]}}
    - name: zombie follower of an elected leader
      weight: 3
      steps:
        - {id: deaf, do: net.partition, on: follower, params: {shape: isolate, listeners: [control]}, hold: {uniform: [3s, 15s]}}
        - {id: behind, when: {after: deaf, phase: begin, delay: {uniform: [0s, 3s]}}, do: net.partition, on: {from: leader, to: "followers - same(deaf)"}, params: {shape: link, listeners: [replication]}, hold: {uniform: [200ms, 2s]}}
        - {id: out, when: {after: behind, phase: begin, delay: {uniform: [200ms, 1500ms]}}, do: proc.kill, on: from(behind), hold: {uniform: [0s, 1s]}}
        - {id: back, when: {after: out, delay: {uniform: [1s, 4s]}}, do: partition.elect, hold: 0s}
        - {id: lead, when: {after: deaf, delay: {uniform: [500ms, 3s]}}, do: proc.restart, on: "followers | leader - same(deaf)", hold: {uniform: [1s, 3s]}, params: {timeout: 3s}}
)yaml";

// A replica misses that the lead has moved and come back, but keeps its place in the ISR.
constexpr std::string_view kMember = R"yaml(
    - name: deaf member
      weight: 3
      steps:
        - {id: behind, do: net.partition, on: {from: leader, to: follower}, params: {shape: link, listeners: [replication]}, hold: {uniform: [2s, 4s]}}
        - {id: deaf, when: {after: behind, phase: begin, delay: {uniform: [300ms, 1s]}}, do: net.partition, on: "followers - to(behind)", params: {shape: isolate, listeners: [control]}, hold: {
        uniform:
          [ 8s, 14s ]
        }
        }
        - {id: mute, when: {after: deaf, phase: begin}, do: net.partition, on: {from: from(behind), to: same(deaf)}, params: {shape: link, listeners: [replication]}, hold: {uniform: [5s, 9s]}}
        - {id: rest, when: {after: mute, phase: begin}, do: clients.pause, hold: {uniform: [2s, 6s]}}
        - {id: out, when: {after: rest, phase: begin, delay: {uniform: [500ms, 1500ms]}}, do: proc.kill, on: from(behind), hold: 0s}
        - {id: back, when: {after: out, delay: {uniform: [1s, 3s]}}, do: partition.elect, hold: 0s}
        - {id: first, when: {after: mute, delay: {uniform: [200ms, 1s]}}, do: proc.restart, on: leader, hold: {uniform: [3s, 6s]}}
        - {id: second, when: {after: first, phase: begin}, do: proc.restart, on: "leader - same(deaf)", hold: {uniform: [2s, 5s]}}
)yaml";

// An answer is on its way while the lead moves, and arrives when it speaks of what is over.
constexpr std::string_view kLateAnswer = R"yaml(
    - name: late answer across a change of leaders
      weight: 4
      steps:
        - {id: out, do: proc.kill, on: leader, hold: {uniform: [300ms, 2s]}}
        - {id: tail, when: {after: out, delay: {uniform: [1s, 4s]}}, do: net.partition, on: {from: leader, to: followers}, params: {shape: link, listeners: [replication]}, hold: {uniform: [600ms, 2s]}}
        - {id: late, when: {after: tail, phase: begin}, do: net.message, on: {to: from(tail)}, params: {api: Fetch, reply: true, action: hold}, hold: {uniform: [3s, 9s]}}
        - {id: over, when: {after: late, phase: begin, delay: {uniform: [300ms, 1s]}}, do: partition.elect, hold: 0s}
        - {id: again, when: {after: tail, delay: {uniform: [0s, 1500ms]}}, do: net.partition, on: "leader - from(tail)", params: {shape: isolate, listeners: [control]}, until: {event: partition.leader, timeout: 8s}
        }
    - name: late lookup across a change of leaders
      weight: 2
      steps:
        - {id: late, do: net.message, params: {api: OffsetForLeaderEpoch, reply: true, action: hold, count: 2}, hold: {uniform: [2s, 8s]}}
        - {id: out, when: {after: late, phase: begin}, do: proc.kill, on: leader, hold: {uniform: [0s, 1s]}}
        - {id: back, when: {after: out, delay: {uniform: [500ms, 3s]}}, do: partition.elect, hold: 0s}
    - name: there and back
      weight: 2
      steps:
        - {id: out, do: proc.restart, on: leader, hold: {uniform: [0s, 1s]}}
        - {id: back, when: {after: out, delay: {uniform: [500ms, 3s]}}, do: partition.elect, hold: 0s}
        - {id: out2, when: {after: back, phase: begin, delay: {uniform: [50ms, 1s]}}, do: proc.kill, on: leader, hold: {uniform: [0s, 1s]}}
)yaml";

// What admits a replica to the ISR gets lost; before it is sent again, the replica is not what it was.
constexpr std::string_view kAdmission = R"yaml(
    - name: lost admission, then no heartbeat
      weight: 4
      steps:
        - {id: out, do: proc.kill, on: follower, hold: {uniform: [1s, 3s]}, params: {timeout: 10s}}
        - {id: lost, when: {after: out, phase: begin, delay: {uniform: [500ms, 1s]}}, do: net.message, on: {from: leader}, params: {api: alter_partition, action: drop, count: 1}, hold: 12s}
        - {id: deaf, when: {after: out, delay: {uniform: [0s, 1500ms]}}, do: net.partition, on: same(out), params: {shape: isolate, listeners: [control]}, hold: {uniform: [5s, 12s]}}
    - name: lost admission, then a restart
      weight: 2
      steps:
        - {id: out, do: proc.kill, on: follower, hold: {uniform: [1s, 3s]}, params: {timeout: 10s}}
        - {id: lost, when: {after: out, phase: begin, delay: {uniform: [500ms, 1s]}}, do: net.message, on: {from: leader}, params: {api: alter_partition, action: drop, count: 1}, hold: 12s}
        - {id: mute, when: {after: out, delay: {uniform: [0s, 1500ms]}}, do: net.partition, on: same(out), params: {shape: isolate, listeners: [replication]}, hold: {uniform: [4s, 9s]}}
        - {id: anew, when: {after: mute, phase: begin}, do: node.power_cut, on: same(out), hold: {uniform: [0s, 500ms]}}
)yaml";

constexpr std::string_view kAdmissionDamage = R"yaml(
    - name: lost admission, then a new disk
      weight: 4
      steps:
        - {id: out, do: proc.kill, on: follower, hold: {uniform: [1s, 3s]}, params: {timeout: 10s}}
        - {id: lost, when: {after: out, phase: begin, delay: {uniform: [500ms, 1s]}}, do: net.message, on: {from: leader}, params: {api: alter_partition, action: drop, count: 1}, hold: 12s}
        - {id: mute, when: {after: out, delay: {uniform: [200ms, 1500ms]}}, do: net.partition, on: same(out), params: {shape: isolate, listeners: [replication]}, hold: {uniform: [4s, 9s]}}
        - {id: anew, when: {after: mute, phase: begin}, do: node.amnesia, on: same(out), hold: {uniform: [0s, 200ms]}}
        - {id: lead, when: {after: anew, delay: {uniform: [1s, 5s]}}, do: partition.elect, hold: 0s}
)yaml";

// The ISR shrinks in order, its last member loses power, and is back before the others.
constexpr std::string_view kOneByOne = R"yaml(
    - name: one by one
      weight: 4
      steps:
        - {id: third, do: proc.restart, on: follower, hold: {uniform: [4s, 9s]}}
        - {id: second, when: {after: third, phase: begin, delay: {uniform: [300ms, 2s]}}, do: proc.restart, on: "follower - same(third)",
                               hold : {
    uniform:
      [ 4s, 9s ]
    }
    }
        - {id: last, when: {after: second, phase: begin, delay: {uniform: [300ms, 2s]}}, do: node.power_cut, on: leader, hold: {uniform: [0s, 500ms]}}
)yaml";

constexpr std::string_view kBoot = R"yaml(
    - name: stumbling boot
      weight: 4
      steps:
        - {id: down, do: proc.restart, on: random, hold: {uniform: [0s, 500ms]}}
        - {id: again, when: {after: down, delay: {uniform: [0s, 2s]}}, do: node.power_cut, on: same(down), hold: {uniform: [0s, 1s]}}
    - name: boot cut short
      weight: 2
      steps:
        - {id: down, do: proc.restart, on: random, hold: {uniform: [0s, 500ms]}}
        - {id: again, when: {event: broker.start, since: down, delay: {uniform: [0s, 300ms]}}, do: node.crash, on: same(down), hold: {uniform: [0s, 500ms]}}
        - {id: third, when: {after: again, delay: {uniform: [0s, 2s]}}, do: node.power_cut, on: same(down), hold: {uniform: [0s, 500ms]}}
)yaml";

constexpr std::string_view kLostReplies = R"yaml(
    - name: lost replies, then a blackout
      weight: 4
      steps:
        - {id: lost, do: net.simplex, on: {from: leader, to: clients}, params: {listeners: [client]}, hold: {uniform: [300ms, 1500ms]}}
        - {id: dark, when: {after: lost, phase: begin, delay: {uniform: [50ms, 700ms]}}, do: node.power_cut, on: all, hold: {uniform: [0s, 500ms]}}
)yaml";

constexpr std::string_view kIdle = R"yaml(
    - name: idle log under retention
      weight: 4
      steps:
        - {id: rest, do: clients.pause, hold: {uniform: [3s, 8s]}}
        - {id: old, when: {after: rest, phase: begin, delay: {uniform: [0s, 500ms]}}, do: topic.set, params: {set: {retention.ms: 800}}, hold: {uniform: [2s, 5s]}}
        - {id: boot, when: {after: old, phase: begin, delay: {uniform: [1500ms, 3s]}}, do: proc.restart, on: leader, hold: {uniform: [0s, 1s]}}
)yaml";

constexpr std::string_view kElections = R"yaml(
    - name: crash around a vote
      weight: 3
      steps:
        - {id: slow, do: net.message, params: {api: raft_vote, action: delay, by: 300ms, count: 2}, hold: {uniform: [2s, 5s]}}
        - {id: gone, when: {after: slow, phase: begin}, do: net.partition, on: controller, params: {shape: isolate, listeners: [control]}, hold: {uniform: [1s, 4s]}}
        - {id: voter, when: {after: gone, phase: begin, delay: {uniform: [0s, 800ms]}}, do: node.crash, on: one(up - same(gone)), params: {path: __cluster_metadata}, hold: {uniform: [0s, 200ms]}}
    - name: restart during an election
      weight: 2
      steps:
        - {id: gone, do: proc.kill, on: controller, hold: {uniform: [500ms, 3s]}}
        - {id: voter, when: {after: gone, phase: begin, delay: {uniform: [200ms, 2500ms]}}, do: node.power_cut, on: one(up - same(gone)), hold: {uniform: [0s, 200ms]}}
    - name: controllers in quick succession
      weight: 3
      steps:
        - {id: old, do: net.partition, on: controller, params: {shape: isolate, listeners: [control]}, until: {event: controller.active, timeout: 12s}}
        - {id: short, when: {event: controller.active, since: old, delay: {uniform: [0s, 300ms]}}, do: proc.kill, on: controller, hold: {uniform: [2s, 6s]}}
        - {id: third, when: {event: controller.active, since: short, delay: {uniform: [0s, 150ms]}}, do: proc.kill, on: controller, hold: {uniform: [2s, 5s]}}
    - name: controller cut off with messages under way
      weight: 3
      steps:
        - {id: late, do: net.message, on: {from: controller}, params: {api: raft_append, action: delay, by: 1500ms, count: 3}, hold: {uniform: [2s, 6s]}}
        - {id: gone, when: {after: late, phase: begin, delay: {uniform: [0s, 100ms]}}, do: net.partition, on: controller, params: {shape: isolate, listeners: [control]}, hold: {uniform: [1s, 5s]}}
        - {id: out, when: {after: gone, delay: {uniform: [0s, 500ms]}}, do: proc.kill, on: controller, hold: {uniform: [0s, 2s]}}
)yaml";

constexpr std::string_view kVoters = R"yaml(
    - name: voters under partition
      weight: 4
      steps:
        - {id: cut, do: net.partition, on: {from: controller | observers, to: voters - controller}, params: {shape: link, listeners: [control]}, hold: {uniform: [3s, 10s]}}
        - {id: add, when: {after: cut, phase: begin, delay: {uniform: [0s, 200ms]}}, do: quorum.voters, on: {nodes: one(observers), from: controller}, hold: 0s}
        - {id: more, when: {after: add, phase: begin, delay: {uniform: [0s, 200ms]}}, do: quorum.voters, on: {nodes: observers - same(add), from: controller}, hold: 0s}
    - name: voters come and go
      weight: 2
      steps:
        - {id: add, do: quorum.voters, on: one(observers), hold: 0s}
        - {id: gone, when: {after: add, phase: begin, delay: {uniform: [0s, 500ms]}}, do: net.partition, on: controller, params: {shape: isolate, listeners: [control]}, hold: {uniform: [1s, 5s]}}
        - {id: less, when: {after: gone, delay: {uniform: [0s, 2s]}}, do: quorum.voters, on: one(voters), params: {change: remove}, hold: 0s}
)yaml";

constexpr FaultClass kManoeuvres[] = {
    {"zombie follower", 6, "A", kZombie},
    {"deaf member", 6, "A", kMember},
    {"late answers", 6, "A", kLateAnswer},
    {"lost admission", 6, "AF", kAdmission},
    {kAdmissionLost, 20, "A", kAdmissionDamage},
    {"one by one", 6, "A", kOneByOne},
    {"stumbling boot", 6, "E", kBoot},
    {"lost replies", 6, "BE", kLostReplies},
    {"idle log", 6, "E", kIdle},
    {"elections", 6, "F", kElections},
    {kVotersChange, 6, "F", kVoters},
};

}  // namespace

std::span<const FaultClass> manoeuvres() { return kManoeuvres; }

}  // namespace ordeal::sim
