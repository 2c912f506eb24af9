#include "scheduler/drivers/local/local_driver.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <set>

#include "scheduler/drivers/local/child_process.h"

namespace tidegate::scheduler {

Result<std::unique_ptr<LocalDriver>> LocalDriver::open(Settings settings, const Clock& clock, Log& log) {
  for (const auto& folder : {settings.run_dir, settings.socket_dir}) {
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    if (code) return fail(Code::kInternal, "state_unwritable", fmt::format("cannot make '{}': {}", folder, code.message()));
  }
  TG_ASSIGN(const LimitMeans means, choose_means(settings.limits, log));
  return std::unique_ptr<LocalDriver>(new LocalDriver(std::move(settings), means, clock, log));
}

std::vector<std::string> LocalDriver::command_for(const ReplicaSpec& spec, Term term, const std::string& admin_address) const {
  std::vector<std::string> command = {settings_.worker_binary};
  const auto add = [&](std::string_view key, std::string_view value) { command.push_back(fmt::format("--{}={}", key, value)); };
  add("engine", spec.engine);
  if (!spec.model_path.empty()) {
    add("model.dir", spec.model_path);
    // One folder for all: replicas of a model map the same file, and the next start of one packs nothing.
    add("weights.cache_dir", fmt::format("{}/weights", settings_.run_dir));
  }
  add("model", spec.model);
  add("variant", spec.variant);
  add("deployment", spec.deployment);
  add("replica", spec.replica);
  add("region", spec.region);
  add("pool", spec.pool);
  add("threads", std::to_string(spec.threads));
  if (spec.sequences_max > 0) add("sequences_max", std::to_string(spec.sequences_max));
  add("term", std::to_string(term));
  // The term and the instant make the socket's name new for every run: a gateway never meets a successor by an old name.
  add("grpc.listen", fmt::format("unix:{}/w-{}-{:x}.sock", settings_.socket_dir, spec.replica,
                                 static_cast<std::uint64_t>(clock_.mono().time_since_epoch().count()) / 1'000'000));
  add("admin.listen", admin_address);
  add("scheduler.address", settings_.scheduler_address);
  if (!settings_.billing_address.empty()) {
    add("billing.address", settings_.billing_address);
    // One folder a replica: the next run of it tells what this one could not.
    add("meter.dir", fmt::format("{}/meter/{}", settings_.run_dir, spec.replica));
  }
  add("cluster_token_file", settings_.cluster_token_file);
  if (settings_.worker_tls.is_on()) {
    add("rpc.tls_ca_file", settings_.worker_tls.ca_file);
    add("rpc.tls_cert_file", settings_.worker_tls.cert_file);
    add("rpc.tls_key_file", settings_.worker_tls.key_file);
  }
  for (const auto& option : spec.options) command.push_back("--" + option);
  for (const auto& extra : settings_.extra_arguments) command.push_back(extra);
  return command;
}

Result<ChildLimits> LocalDriver::limits_for(const ReplicaSpec& spec, Term term) const {
  ChildLimits limits;
  switch (means_) {
    case LimitMeans::kNone: break;
    case LimitMeans::kProcess:
      limits.nice = nice_of_weight(settings_.limits.cpu_weight);
      limits.data_bytes_max = settings_.limits.memory_bytes_max;
      break;
    case LimitMeans::kCgroup: {
      // New for every run, as the socket is: what the group of the run before still tells is not lost.
      const std::string name = fmt::format("{}-{}-{:x}", spec.replica, term,
                                           static_cast<std::uint64_t>(clock_.mono().time_since_epoch().count()));
      TG_ASSIGN(limits.cgroup, make_group(settings_.limits.cgroup_dir, name, settings_.limits.group()));
      break;
    }
  }
  return limits;
}

void LocalDriver::drop_group(const std::filesystem::path& group) {
  if (!group.empty()) settings_.remove_group(group);
}

bool LocalDriver::is_alive(const ReplicaRecord& record) {
  const ChildState child = collect(record.pid);
  const auto ticks = start_ticks_of(record.pid);
  // A child of ours has ended when it is collected and not before, whatever /proc says of it meanwhile: a record that was
  // dropped in between would leave a zombie for as long as we live.
  const bool alive = ticks ? *ticks == record.start_ticks : child.is_ours;
  if (!alive) note_end(record, child.exit);
  return alive;
}

void LocalDriver::note_end(const ReplicaRecord& record, const std::optional<std::string>& exit) {
  if (exit) ended_[record.replica] = {record.incarnation(), *exit};
  if (record.cgroup.empty()) return;
  // Also of a process that was no child of ours: the group knows what its parent did not live to hear.
  if (const auto killed = memory_kill_of(record.cgroup)) ended_[record.replica] = {record.incarnation(), *killed};
  drop_group(record.cgroup);  // refused while something of it lives; the next look tries again
}

void LocalDriver::begin_term(Term term) {
  const Status entered = enter_term(settings_.run_dir, term);
  if (!entered) log_.warn("term_not_recorded", {kv("term", term), kv("message", entered.error().message)});
  if (!entered || means_ != LimitMeans::kCgroup) return;
  std::set<std::string> on_record;
  for (const auto& record : read_records(settings_.run_dir)) on_record.insert(record.cgroup);
  if (const std::size_t removed = sweep_groups(settings_.limits.cgroup_dir, on_record, settings_.remove_group); removed > 0) {
    log_.info("replica_cgroups_swept", {kv("removed", removed)});
  }
}

Status LocalDriver::start(const ReplicaSpec& spec, Term term) {
  TG_TRY(enter_term(settings_.run_dir, term));
  for (const auto& record : read_records(settings_.run_dir)) {
    if (record.replica == spec.replica && is_alive(record)) return {};
  }
  TG_ASSIGN(const std::uint16_t port, free_loopback_port());
  ReplicaRecord record;
  record.replica = spec.replica;
  record.term = term;
  record.deployment = spec.deployment;
  record.model = spec.model;
  record.spec_digest = spec.digest();
  record.admin_address = fmt::format("127.0.0.1:{}", port);
  const std::filesystem::path log = std::filesystem::path(settings_.run_dir) / (spec.replica + ".log");
  TG_ASSIGN(const ChildLimits limits, limits_for(spec, term));
  record.cgroup = limits.cgroup.string();
  auto started = spawn_detached(command_for(spec, term, record.admin_address), log, limits);
  if (!started) {
    drop_group(limits.cgroup);
    return fail(std::move(started).error());
  }
  record.pid = *started;
  // We may have stood still since the first look, and others led meanwhile: what they run must stay on record.
  if (const Status still_ours = enter_term(settings_.run_dir, term); !still_ours) {
    ::kill(static_cast<pid_t>(record.pid), SIGKILL);
    ::waitpid(static_cast<pid_t>(record.pid), nullptr, 0);
    drop_group(limits.cgroup);
    log_.warn("replica_start_undone", {kv("replica", spec.replica), kv("pid", record.pid), kv("term", term)});
    return still_ours;
  }
  // A process that ended at once has no start time; collect() will say how it ended.
  record.start_ticks = start_ticks_of(record.pid).value_or(0);
  stopping_.erase(spec.replica);
  ended_.erase(spec.replica);
  log_.info("replica_started", {kv("replica", spec.replica), kv("pid", record.pid), kv("term", term)});
  return write_record(settings_.run_dir, record);
}

Status LocalDriver::stop(const std::string& replica, Term term) {
  TG_TRY(enter_term(settings_.run_dir, term));
  for (const auto& record : read_records(settings_.run_dir)) {
    if (record.replica != replica) continue;
    if (!is_alive(record)) {
      stopping_.erase(replica);
      remove_record(settings_.run_dir, replica);
      continue;
    }
    if (stopping_.try_emplace(replica, clock_.mono() + settings_.stop_limit).second) {
      ::kill(static_cast<pid_t>(record.pid), SIGTERM);
      log_.info("replica_stopping", {kv("replica", replica), kv("pid", record.pid)});
    }
  }
  return {};
}

void LocalDriver::force_overdue(const ReplicaRecord& record, Mono now) {
  const auto stopping = stopping_.find(record.replica);
  if (stopping == stopping_.end() || now < stopping->second) return;
  ::kill(static_cast<pid_t>(record.pid), SIGKILL);
  stopping->second = now + settings_.stop_limit;
  log_.warn("replica_killed", {kv("replica", record.replica), kv("pid", record.pid)});
}

std::vector<ReplicaProcess> LocalDriver::observe(Mono now) {
  std::vector<ReplicaProcess> processes;
  std::vector<ReplicaRecord> alive;
  for (const auto& record : read_records(settings_.run_dir)) {
    ReplicaProcess process;
    process.replica = record.replica;
    process.deployment = record.deployment;
    process.spec_digest = record.spec_digest;
    process.incarnation = record.incarnation();
    process.alive = is_alive(record);
    if (process.alive) {
      force_overdue(record, now);
      alive.push_back(record);
    } else if (stopping_.erase(record.replica) > 0) {
      remove_record(settings_.run_dir, record.replica);  // ended as asked: nothing to remember
      continue;
    } else {
      const auto ended = ended_.find(record.replica);
      const bool known = ended != ended_.end() && ended->second.incarnation == process.incarnation;
      process.exit = known ? ended->second.exit : "ended while no scheduler watched";
    }
    processes.push_back(std::move(process));
  }
  if (const Status written = write_scrape_targets(settings_.run_dir, alive); !written) {
    log_.warn("scrape_targets_unwritable", {kv("message", written.error().message)});
  }
  return processes;
}

}  // namespace tidegate::scheduler
