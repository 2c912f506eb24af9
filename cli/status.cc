#include <fmt/format.h>

#include <poll.h>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"

namespace tidegate::cli {

namespace {

struct Picture {
  Result<v1::ListDeploymentsResponse> deployments = fail(Code::kUnknown, "", "");
  Result<v1::ListWorkersResponse> workers = fail(Code::kUnknown, "", "");
  Result<v1::ListWalletsResponse> wallets = fail(Code::kUnknown, "", "");
  Status gateway;

  bool is_ready() const {
    if (!deployments || !workers || !wallets || !gateway) return false;
    for (const auto& deployment : deployments->deployments()) {
      if (!deployment.drained() && deployment.replicas_ready() < deployment.replicas()) return false;
    }
    return true;
  }
};

Picture look(Connection& connection) {
  Picture picture;
  picture.deployments = connection.call(&v1::FleetAdmin::Stub::ListDeployments, connection.fleet(), v1::ListDeploymentsRequest());
  picture.workers = connection.call(&v1::FleetAdmin::Stub::ListWorkers, connection.fleet(), v1::ListWorkersRequest());
  v1::ListWalletsRequest wallets;
  wallets.mutable_page()->set_limit(1000);
  picture.wallets = connection.call(&v1::BillingAdmin::Stub::ListWallets, connection.billing(), wallets);
  grpc::ClientContext context;
  connection.prepare_inference(context, "");
  v1::ListModelsResponse models;
  const grpc::Status status = connection.inference().ListModels(&context, v1::ListModelsRequest(), &models);
  if (!status.ok()) picture.gateway = std::unexpected(Connection::to_error(status, context));
  return picture;
}

std::string state(const Status& status) { return status ? "ok" : status.error().to_string(); }

void print_status(const Connection& connection, const Picture& picture) {
  const auto& endpoint = connection.endpoint();
  const auto as_status = [](const auto& result) { return result ? Status() : Status(std::unexpected(result.error())); };
  TextTable processes({"PROCESS", "ADDRESS", "STATE"});
  processes.add({"gateway", endpoint.base_url + ", grpc " + endpoint.grpc, state(picture.gateway)});
  processes.add({"billing", endpoint.billing, state(as_status(picture.wallets))});
  processes.add({"scheduler", endpoint.scheduler, state(as_status(picture.deployments))});
  fmt::print("{}", processes.render());
  if (picture.deployments) {
    TextTable table({"\nDEPLOYMENT", "MODEL", "READY", "STATUS", "MESSAGE"});
    for (const auto& each : picture.deployments->deployments()) {
      table.add({each.name(), each.model() + " " + each.variant(), fmt::format("{}/{}", each.replicas_ready(), each.replicas()),
                 each.status(), each.message()});
    }
    fmt::print("{}", table.render());
  }
  if (picture.workers) {
    TextTable table({"\nWORKER", "MODEL", "ENGINE", "PLACE", "SEQUENCES", "KV TOKENS", "RESTARTS", "SEEN"});
    for (const auto& each : picture.workers->workers()) {
      const auto& report = each.report();
      table.add({report.worker_id(), report.model() + " " + report.variant(), report.engine(), report.region() + "/" + report.pool(),
                 fmt::format("{}/{}", report.sequences_running(), report.sequences_max()),
                 fmt::format("{}/{}", report.kv_tokens_used(), report.kv_tokens_capacity()), std::to_string(each.restarts()),
                 fmt::format("{} ms ago", each.last_seen_ms_ago())});
    }
    fmt::print("{}", table.render());
  }
}

Status status(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto wait_s, arguments.integer_option("wait", 0));
  const SystemClock clock;
  const Deadline deadline = Deadline::after(clock.mono(), std::chrono::seconds(wait_s));
  Picture picture = look(connection);
  while (!picture.is_ready() && !deadline.is_expired(clock.mono())) {
    ::poll(nullptr, 0, 100);
    picture = look(connection);
  }
  if (arguments.wants_json()) {
    fmt::print(R"({{"ready":{},"deployments":{},"workers":{}}})" "\n", picture.is_ready(),
               picture.deployments ? message_json(*picture.deployments) : "null", picture.workers ? message_json(*picture.workers) : "null");
  } else {
    print_status(connection, picture);
  }
  if (!picture.is_ready()) return fail(Code::kUnavailable, "not_ready", "not everything is ready");
  return {};
}

}  // namespace

std::vector<Command> status_commands() {
  return {{"status", "Show every process, deployment and worker; exit code 1 unless all are ready.", "[--wait SECONDS]",
           "  tidegate status\n  tidegate status --wait 30 --json\n", {"wait"}, {}, status}};
}

}  // namespace tidegate::cli
