#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"

namespace tidegate::cli {

namespace {

using Fleet = v1::FleetAdmin::Stub;

Status deploy_apply(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::Deployment wanted;
  TG_ASSIGN(*wanted.mutable_name(), arguments.word(0, "NAME"));
  TG_ASSIGN(*wanted.mutable_model(), arguments.required_option("model"));
  TG_ASSIGN(*wanted.mutable_variant(), arguments.required_option("variant"));
  wanted.set_region(arguments.option("region", "local"));
  wanted.set_pool(arguments.option("pool", "cpu"));
  TG_ASSIGN(const auto replicas, arguments.integer_option("replicas", 1));
  TG_ASSIGN(const auto threads, arguments.integer_option("threads", 0));
  TG_ASSIGN(const auto sequences, arguments.integer_option("sequences", 0));
  wanted.set_replicas(static_cast<std::int32_t>(replicas));
  wanted.set_threads(static_cast<std::int32_t>(threads));
  wanted.set_sequences_max(static_cast<std::int32_t>(sequences));
  std::string options = arguments.option("options");
  while (!options.empty()) {
    const auto comma = options.find(',');
    if (comma != 0) wanted.add_options(options.substr(0, comma));
    options = comma == std::string::npos ? "" : options.substr(comma + 1);
  }
  TG_ASSIGN(const v1::Deployment made, connection.call(&Fleet::ApplyDeployment, connection.fleet(), wanted));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(made));
  } else {
    fmt::print("deployment {}: {} {} x{} in {}/{}, {}\n", made.name(), made.model(), made.variant(), made.replicas(),
               made.region(), made.pool(), made.status());
  }
  return {};
}

Status deploy_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto list, connection.call(&Fleet::ListDeployments, connection.fleet(), v1::ListDeploymentsRequest()));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"NAME", "MODEL", "VARIANT", "PLACE", "READY", "STATUS", "MESSAGE"});
  for (const auto& each : list.deployments()) {
    table.add({each.name(), each.model(), each.variant(), each.region() + "/" + each.pool(),
               fmt::format("{}/{}", each.replicas_ready(), each.replicas()), each.status(), each.message()});
  }
  fmt::print("{}", table.render());
  return {};
}

Status deploy_delete(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::DeleteDeploymentRequest request;
  TG_ASSIGN(*request.mutable_name(), arguments.word(0, "NAME"));
  TG_TRY(connection.call(&Fleet::DeleteDeployment, connection.fleet(), request));
  if (!arguments.wants_json()) fmt::print("deployment {} is being taken down\n", request.name());
  return {};
}

}  // namespace

std::vector<Command> deployment_commands() {
  return {
      {"deploy apply", "Create or change a deployment of a catalogue model.",
       "NAME --model MODEL --variant VARIANT [--replicas N] [--threads N] [--sequences N] [--region R] [--pool P] [--options K=V,...]",
       "  tidegate deploy apply tang-moe --model tang-moe --variant fp8\n"
       "  tidegate deploy apply load --model sim-fast --variant sim --replicas 2\n",
       {"model", "variant", "replicas", "threads", "sequences", "region", "pool", "options"}, {}, deploy_apply},
      {"deploy list", "List deployments and how many replicas are ready.", "", "  tidegate deploy list\n", {}, {}, deploy_list},
      {"deploy delete", "Drain and remove a deployment.", "NAME", "  tidegate deploy delete load\n", {}, {}, deploy_delete},
  };
}

}  // namespace tidegate::cli
