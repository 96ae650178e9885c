// The targeting language: roles and sets instead of fixed names, resolved when a step fires.
//
//   n1, c2                     a host by name
//   all, clients               every node; every client host
//   one, random, random(k)     one (k) of the running nodes, by the step's seed;  client: one client host
//   minority, majority         that many of all nodes, by the step's seed
//   leader(t/p), leader        the partition's leader; without an argument a known partition is chosen by the seed
//   follower(t/p)              one ISR member that does not lead;  followers(t/p): every replica that does not lead
//   isr(t/p), outsiders(t/p)   the ISR; the replicas outside it
//   voters, observers          of the metadata quorum; those who do not vote
//   controller                 the active controller;  killed, paused, up: by process state
//   same(STEP)                 the hosts that an earlier step meant;  from(STEP), to(STEP): those of one of its ends
//   one(X)                     one member of X;  A | B, A - B, A & B, (A): sets; & binds tighter than | and -
//
// Within one step every bare leader, follower(s), isr and outsiders speaks of the same chosen partition: of that of the
// step it waits for, if that one had one.
#pragma once

#include <string>
#include <string_view>

#include "faults/plan/plan.h"
#include "faults/plan/roles.h"

namespace ordeal::plan {

// Syntax only: Errc::invalid_argument says what is wrong and at which character.
Status check_expression(std::string_view expression);

// Turns a step's targets into hosts and, for network verbs, into directed cuts. The same step, seed and view give the
// same answer. Uses step.resolved when present. Errors: Errc::not_found when a role has no holder or a set is empty
// (the step has missed), Errc::invalid_argument when the shape cannot be formed (bridge on three nodes).
// `plan`: all steps, with what they were resolved to so far.
Result<Resolution> resolve(const Step& step, const WorldView& view, const std::vector<Step>& plan = {});

// The ids of the steps without which this one means nothing: what it waits for, and whose hosts it names.
std::vector<std::string> steps_needed(const Step& step);

// After the begin was verified: has the role that the resolution rests on moved meanwhile? Empty when it has not.
std::string why_moved(const Resolution& resolution, const WorldView& view);

}  // namespace ordeal::plan
