// The real world under test: hosts on the switch, processes in them, and what is known about both.
//
// Facts about processes are written to the journal when they happen, whoever caused them: an exit that nobody asked
// for is `expected:false`, and is what a broker's crash looks like to the checker.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "faults/plan/roles.h"
#include "faults/real/firewall.h"
#include "faults/real/journal.h"
#include "faults/real/loop.h"
#include "faults/real/prober.h"
#include "faults/real/process.h"
#include "faults/real/switch.h"

namespace ordeal::nemesis {

std::vector<plan::Verb> real_verbs();  // what this world can do with brokers of its own

// A process under a name that outlives its incarnations.
struct Managed {
  std::string id;
  std::string host;
  bool node = false;  // a broker; else a client
  SpawnSpec spec;
  bool launcher = false;   // its program is started by another one's daemon, in the host's namespace (residents.h)
  std::uint16_t port = 0;  // accepts connections when it serves; 0: serves as soon as it runs
  Duration ready_timeout = 30s;
  std::set<int> clean_codes{0};    // exit codes of an orderly stop (a JVM that got SIGTERM leaves with 143)
  std::optional<Process> process;  // the last incarnation, running or not
  int incarnation = 0;
  bool expecting_exit = false;
  bool paused = false;
  std::vector<std::function<void(const ExitStatus&)>> exit_waiters;

  bool running() const { return process && process->running(); }
  bool stopped_cleanly(const ExitStatus& status) const {
    return status.signal == 0 && clean_codes.contains(status.code);
  }
};

class World {
 public:
  World(Loop& loop, Journal& journal) : loop_(loop), journal_(journal) {}

  // Builds the network. Ids of nodes are n1, n2, ..., of clients c1, c2, ...; each comes with its address.
  // Leaves the caller's network namespace for one that holds the switch.
  using Hosts = std::vector<HostSpec>;
  Status build(const Hosts& nodes, const Hosts& clients, TcpProfile profile);
  // No network of ours: clients run in the caller's, the brokers are somebody else's.
  Status stay_outside(const Hosts& clients);
  bool built() const { return built_; }
  bool owns_network() const { return firewall_ != nullptr; }  // otherwise firewall() is not there
  std::vector<plan::Verb> verbs() const;                      // what can be done here
  // As plan::why_not_converged; without `quorum` nobody is expected to tell who the controller is.
  std::string why_not_whole() const;
  bool quorum = true;
  const Switch& network() const { return network_; }
  Firewall& firewall() { return *firewall_; }
  // Probes every link against the cuts that are in force.
  ProbeReport probe(Duration patience = 500ms);

  Result<Managed*> add(Managed managed);  // Errc::already_exists while the old one of that id runs
  Status start(Managed& managed);         // the first or the next incarnation
  // Calls back once the port accepts a connection from the harness's host, the process ends, or the time is over.
  void when_serving(Managed& managed, Duration timeout, std::function<void(Result<Duration>)> done);
  void when_exited(Managed& managed, std::function<void(const ExitStatus&)> done);
  bool reap(Managed& managed, Duration patience);  // blocks at most that long; true when it has ended
  void set_paused(Managed& managed, bool paused);
  Managed* find(const std::string& id);
  std::vector<Managed*> on_host(const std::string& host);
  std::map<std::string, std::unique_ptr<Managed>>& processes() { return processes_; }
  void kill_everything();

  plan::WorldView view;

 private:
  struct PortWait;
  void ended(Managed& managed);
  void update_view(const Managed& managed);
  void poll_port(const std::shared_ptr<PortWait>& wait);

  Loop& loop_;
  Journal& journal_;
  bool built_ = false;
  Fd outside_;  // where launchers run: the namespace we were started in
  Switch network_;
  std::unique_ptr<Firewall> firewall_;
  std::unique_ptr<Prober> prober_;
  std::map<std::string, std::unique_ptr<Managed>> processes_;
};

}  // namespace ordeal::nemesis
