#include "tests/integration/fleet/fleet_world.h"

#include <filesystem>
#include <fstream>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <sstream>

#include "base/crypto/api_key.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::test {

namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::trunc);
  out << text << "\n";
}

}  // namespace

FleetWorld::FleetWorld() : connection_(fresh_database()), cluster_token_("0123456789abcdef0123456789abcdef-of-a-fleet") {
  SystemEntropy entropy;
  admin_key_ = mint_api_key(entropy, KeyKind::kAdmin).text;
  write_file(folder_.file("token"), cluster_token_);
  write_file(folder_.file("admin"), admin_key_);
  start_scheduler();
}

FleetWorld::~FleetWorld() {
  scheduler_.reset();
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir(), ignored)) {
    if (entry.path().extension() != ".pid") continue;
    const pid_t pid = pid_of(entry.path().stem().string());
    if (pid > 0) ::kill(pid, SIGKILL);
  }
}

std::vector<std::string> FleetWorld::scheduler_command(const std::string& address) const {
  const std::string source = TG_SOURCE_DIR;
  std::vector<std::string> command = {
      TG_SCHEDULER,
      "--grpc.listen=" + address,
      "--admin.listen=127.0.0.1:0",
      "--pg.dsn=" + connection_,
      "--catalogue.dir=" + source + "/models/catalogue",
      "--models.dir=" + source + "/models",
      "--local.worker_binary=" + (has_pools_ ? folder_.file("worker") : std::string(TG_WORKER)),
      "--local.run_dir=" + run_dir(),
      "--local.socket_dir=" + folder_.file("w"),
      "--local.cluster_token_file=" + folder_.file("token"),
      "--secrets.cluster_token_file=" + folder_.file("token"),
      "--secrets.admin_key_file=" + folder_.file("admin"),
      "--scheduler.peers=" + (address == second_address() ? this->address() : second_address()),
      "--lease.ttl_ms=6000"};  // outlasts a leader that gets no processor for a while
  if (has_pools_) {
    command.push_back("--pools.file=" + folder_.file("pools.json"));
    command.push_back("--accelerators.dir=" + source + "/models/accelerators");
  }
  return command;
}

void FleetWorld::offer_pools(const std::string& json) {
  write_file(folder_.file("pools.json"), json);
  // Stands for the machines of a region: it is the worker, unless that region is gone.
  const std::string worker = folder_.file("worker");
  write_file(worker, "#!/bin/sh\nfor word in \"$@\"; do\n  case \"$word\" in\n    --region=*) [ ! -e '" + folder_.file("gone-") +
                         "'\"${word#--region=}\" ] || exit 1 ;;\n  esac\ndone\nexec '" + TG_WORKER + "' \"$@\"");
  std::filesystem::permissions(worker, std::filesystem::perms::owner_all);
  has_pools_ = true;
  scheduler_.reset();
  start_scheduler();
}

void FleetWorld::lose_region(const std::string& region, const std::vector<std::string>& replicas) {
  write_file(folder_.file("gone-" + region), "gone");
  for (const std::string& replica : replicas) {
    const pid_t pid = pid_of(replica);
    if (pid > 0) ::kill(pid, SIGKILL);
  }
}

void FleetWorld::start_scheduler() {
  scheduler_ = std::make_unique<Child>(scheduler_command(address()), folder_.file("scheduler.log"));
}

void FleetWorld::execute(const std::string& sql) {
  pqxx::connection connection(connection_);
  pqxx::nontransaction work(connection);
  work.exec(sql);
}

std::unique_ptr<Child> FleetWorld::start_standby(const std::string& address) {
  return std::make_unique<Child>(scheduler_command(address), folder_.file("standby.log"));
}

template <typename Service>
rpc::Client<Service> FleetWorld::client(const std::string& address, const std::string& token) {
  rpc::ChannelOptions options;
  options.token = token;
  return rpc::Client<Service>(*rpc::make_channel(address, options));
}

Result<v1::Deployment> FleetWorld::apply(const v1::Deployment& deployment, const std::string& key) {
  auto admin = client<v1::FleetAdmin>(address(), key.empty() ? admin_key_ : key);
  return admin.call_blocking(&v1::FleetAdmin::Stub::async::ApplyDeployment, deployment, soon());
}

Result<v1::DeleteDeploymentResponse> FleetWorld::remove(const std::string& name) {
  auto admin = client<v1::FleetAdmin>(address(), admin_key_);
  v1::DeleteDeploymentRequest request;
  request.set_name(name);
  return admin.call_blocking(&v1::FleetAdmin::Stub::async::DeleteDeployment, request, soon());
}

Result<v1::Deployment> FleetWorld::change(const std::string& name, v1::ChangeRolloutRequest::Change change) {
  auto admin = client<v1::FleetAdmin>(address(), admin_key_);
  v1::ChangeRolloutRequest request;
  request.set_name(name);
  request.set_change(change);
  return admin.call_blocking(&v1::FleetAdmin::Stub::async::ChangeRollout, request, soon());
}

Result<v1::DeploymentPlan> FleetWorld::plan(const std::string& model) {
  auto admin = client<v1::FleetAdmin>(address(), admin_key_);
  v1::PlanDeploymentRequest request;
  request.set_model(model);
  return admin.call_blocking(&v1::FleetAdmin::Stub::async::PlanDeployment, request, soon());
}

Result<v1::ListDeploymentsResponse> FleetWorld::deployments(const std::string& at) {
  auto admin = client<v1::FleetAdmin>(at.empty() ? address() : at, admin_key_);
  return admin.call_blocking(&v1::FleetAdmin::Stub::async::ListDeployments, v1::ListDeploymentsRequest(), soon());
}

Result<v1::ListWorkersResponse> FleetWorld::workers() {
  auto admin = client<v1::FleetAdmin>(address(), admin_key_);
  return admin.call_blocking(&v1::FleetAdmin::Stub::async::ListWorkers, v1::ListWorkersRequest(), soon());
}

Result<v1::ListCatalogueResponse> FleetWorld::catalogue() {
  auto admin = client<v1::FleetAdmin>(address(), admin_key_);
  return admin.call_blocking(&v1::FleetAdmin::Stub::async::ListModels, v1::ListCatalogueRequest(), soon());
}

Result<v1::Routes> FleetWorld::routes(const std::string& at) {
  auto fleet = client<v1::Fleet>(at.empty() ? address() : at, cluster_token_);
  v1::WatchRoutesRequest request;
  request.set_gateway_id("test");
  auto stream = fleet.read_stream(&v1::Fleet::Stub::async::WatchRoutes, request, Deadline::never());
  auto item = stream.read_blocking(soon(std::chrono::seconds(1)));
  if (!item) return fail(item.error());
  if (!*item) return fail(Code::kUnavailable, "ended", "the watch ended");
  return **std::move(item);
}

pid_t FleetWorld::pid_of(const std::string& replica) const {
  std::ifstream in(run_dir() + "/" + replica + ".pid");
  pid_t pid = 0;
  in >> pid;
  return pid;
}

std::string FleetWorld::logs() const {
  std::ostringstream all;
  for (const char* name : {"scheduler.log", "standby.log"}) {
    std::ifstream in(folder_.file(name));
    if (in) all << in.rdbuf();
  }
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir(), ignored)) {
    if (entry.path().extension() == ".log") all << std::ifstream(entry.path()).rdbuf();
  }
  return all.str();
}

v1::Deployment FleetWorld::sim(const std::string& name, int replicas) {
  v1::Deployment deployment;
  deployment.set_name(name);
  deployment.set_model("sim-fast");
  deployment.set_variant("sim");
  deployment.set_replicas(replicas);
  deployment.add_options("sim.step_ms=2");
  return deployment;
}

v1::Deployment FleetWorld::tang_moe() {
  v1::Deployment deployment;
  deployment.set_name("tang");
  deployment.set_model("tang-moe");
  deployment.set_variant("fp8");
  deployment.set_replicas(1);
  deployment.set_sequences_max(2);
  return deployment;
}

Result<Answer> ask_worker(const std::string& address, const std::string& token, int max_tokens) {
  const SystemClock clock;
  rpc::ChannelOptions options;
  options.token = token;
  TG_ASSIGN(const auto channel, rpc::make_channel(address, options));
  rpc::Client<v1::Worker> worker(channel);
  auto stream = worker.open_bidi(&v1::Worker::Stub::async::Session, Deadline::never());
  v1::GatewayFrame hello;
  hello.mutable_hello()->set_gateway_id("test");
  TG_TRY(stream.write(hello));
  Answer answer;
  bool is_started = false;
  while (answer.last.finish() == v1::FINISH_REASON_UNSPECIFIED) {
    auto item = stream.read_blocking(Deadline::after(clock.mono(), std::chrono::seconds(60)));
    if (!item) return fail(item.error());
    if (!*item) return fail(Code::kUnavailable, "ended", "the session ended");
    if ((*item)->has_hello()) answer.hello = (*item)->hello();
    for (const auto& event : (*item)->events()) {
      answer.text += event.reasoning() + event.content();
      answer.last = event;
    }
    if (is_started || (*item)->credits_total() == 0) continue;
    is_started = true;
    v1::GatewayFrame frame;
    auto* start = frame.add_start();
    start->set_sequence(1);
    start->set_budget_ms(60'000);
    start->mutable_sampling()->set_max_tokens(max_tokens);
    auto* message = start->add_messages();
    message->set_role("user");
    message->set_content("hello");
    TG_TRY(stream.write(frame));
  }
  return answer;
}

}  // namespace tidegate::test
