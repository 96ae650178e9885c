// Carries out single faults: resolve, invoke, prove the begin, hold, undo, prove the heal.
//
// A fault whose begin cannot be proven is undone and counts for nothing; a fault whose heal cannot be proven says so.
// Overlapping cuts add up: a link is open only when no fault cuts it any more, and every probe is judged against the
// sum. Steps of one fault: fault.resolve, fault.invoke, fault.begin | fault.missed | fault.failed, fault.heal.invoke,
// fault.heal, fault.converged.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "faults/plan/plan.h"
#include "faults/plan/targets.h"
#include "faults/real/world.h"

namespace ordeal::nemesis {

struct FaultEvents {
  std::function<void(const plan::Resolution&)> resolved;
  std::function<void()> begun;
  std::function<void()> gave_up;  // missed, or failed to begin; nothing is left to heal
  std::function<void()> healed;   // proven or not
};

struct Fault {
  enum class State { beginning, held, healing, over };
  enum class Outcome { open, verified, failed, missed };
  plan::Step step;
  plan::Resolution resolution;
  FaultEvents events;
  State state = State::beginning;
  Outcome outcome = Outcome::open;
  bool begin_verified = false;
  bool heal_verified = false;
  bool heal_wanted = false;  // asked for while it was still beginning
  std::string evidence;      // of the last thing that was proven or not
  Instant invoked{};
  Instant heal_invoked{};
  std::map<std::string, int> victims;  // process id -> incarnation that was hit
  std::set<PortCut> cuts;
  int pending = 0;  // restarts under way
  std::string trouble;
};

class Injector {
 public:
  Injector(Loop& loop, Journal& journal, World& world) : loop_(loop), journal_(journal), world_(world) {}

  // Answers through `events`, maybe before it returns. The step's id must not belong to a fault that is not over.
  void begin(const plan::Step& step, FaultEvents events);
  void heal(const std::string& id);  // no-op when it is over or healing already
  std::vector<std::string> active() const;
  const Fault* find(const std::string& id) const;
  const std::map<std::string, std::unique_ptr<Fault>>& faults() const { return faults_; }
  void forget_finished();  // before a new plan reuses ids

  // Roles: when did each last change hands, for "the role had moved before the fault acted".
  void role_changed(const std::string& role, std::int64_t t) { role_changed_[role] = t; }
  // Emits fault.converged for healed faults; call when the view changed and now and then.
  void check_convergence(Duration budget);

 private:
  void begin_network(Fault& fault);
  void begin_kill(Fault& fault);
  void begin_pause(Fault& fault);
  void begin_restart(Fault& fault);
  void restart_stopped(const std::string& id, Managed& managed, const ExitStatus& status);
  void heal_network(Fault& fault);
  void heal_pause(Fault& fault);
  void heal_by_start(Fault& fault);

  bool choose_victims(Fault& fault, bool may_be_paused);
  std::set<PortCut> sum_of_cuts(const Fault* without) const;
  int purge(const Fault& fault, std::string& trouble);
  void begun(Fault& fault, const std::string& evidence);
  void missed(Fault& fault, const std::string& why);
  void failed_to_begin(Fault& fault, const std::string& why);
  void healed(Fault& fault, bool verified, const std::string& evidence, nlohmann::json more = nlohmann::json::object());
  void event(const std::string& name, const Fault& fault, nlohmann::json fields);

  struct Converging {
    std::string id;
    std::string kind;
    Instant since;
  };

  Loop& loop_;
  Journal& journal_;
  World& world_;
  std::map<std::string, std::unique_ptr<Fault>> faults_;
  std::vector<Converging> converging_;
  std::map<std::string, std::int64_t> role_changed_;
};

}  // namespace ordeal::nemesis
