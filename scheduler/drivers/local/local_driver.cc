#include "scheduler/drivers/local/local_driver.h"

#include <fmt/format.h>
#include <signal.h>

#include "scheduler/drivers/local/child_process.h"

namespace tidegate::scheduler {

Result<std::unique_ptr<LocalDriver>> LocalDriver::open(Settings settings, const Clock& clock, Log& log) {
  for (const auto& folder : {settings.run_dir, settings.socket_dir}) {
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    if (code) return fail(Code::kInternal, "state_unwritable", fmt::format("cannot make '{}': {}", folder, code.message()));
  }
  return std::unique_ptr<LocalDriver>(new LocalDriver(std::move(settings), clock, log));
}

std::vector<std::string> LocalDriver::command_for(const ReplicaSpec& spec, Term term, const std::string& admin_address) const {
  std::vector<std::string> command = {settings_.worker_binary};
  const auto add = [&](std::string_view key, std::string_view value) { command.push_back(fmt::format("--{}={}", key, value)); };
  add("engine", spec.engine);
  if (!spec.model_path.empty()) add("model.dir", spec.model_path);
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

bool LocalDriver::is_alive(const ReplicaRecord& record) {
  if (const auto exit = reap(record.pid)) ended_[record.replica] = {record.incarnation(), *exit};
  const auto ticks = start_ticks_of(record.pid);
  return ticks && *ticks == record.start_ticks;
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
  TG_ASSIGN(record.pid, spawn_detached(command_for(spec, term, record.admin_address), log));
  // A process that ended at once has no start time; reap() will say how it ended.
  record.start_ticks = start_ticks_of(record.pid).value_or(0);
  stopping_.erase(spec.replica);
  ended_.erase(spec.replica);
  log_.info("replica_started", {kv("replica", spec.replica), kv("pid", record.pid), kv("term", term)});
  return write_record(settings_.run_dir, record);
}

Status LocalDriver::stop(const std::string& replica, Term term) {
  TG_TRY(enter_term(settings_.run_dir, term));
  for (const auto& record : read_records(settings_.run_dir)) {
    if (record.replica != replica || !is_alive(record)) continue;
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
