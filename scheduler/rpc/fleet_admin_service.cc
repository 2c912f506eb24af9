#include "scheduler/rpc/fleet_admin_service.h"

#include <boost/asio/post.hpp>
#include <future>
#include <utility>

#include "scheduler/rpc/fleet_messages.h"

namespace tidegate::scheduler {

namespace {

std::unexpected<Error> not_leader() {
  return fail(Code::kUnavailable, "not_leader", "this scheduler does not lead; try again or another one");
}

}  // namespace

template <typename T, typename Fn>
Result<T> FleetAdminService::ask(Fn fn) {
  auto task = std::make_shared<std::packaged_task<Result<T>()>>([this, fn = std::move(fn)]() -> Result<T> {
    const Fleet* fleet = control_.fleet();
    if (fleet == nullptr) return not_leader();
    return fn(*fleet);
  });
  auto answer = task->get_future();
  asio::post(control_.executor(), [task] { (*task)(); });
  return answer.get();
}

FleetAdminService::Reactor* FleetAdminService::ListModels(Call* call, const v1::ListCatalogueRequest*,
                                                          v1::ListCatalogueResponse* response) {
  return host_.serve(call, response, [this](const FleetCall&) -> Result<v1::ListCatalogueResponse> {
    v1::ListCatalogueResponse out;
    for (const auto& [name, model] : catalogue_.models()) *out.add_models() = to_message(model);
    return out;
  });
}

FleetAdminService::Reactor* FleetAdminService::ListDeployments(Call* call, const v1::ListDeploymentsRequest*,
                                                               v1::ListDeploymentsResponse* response) {
  return host_.serve(call, response, [this](const FleetCall&) -> Result<v1::ListDeploymentsResponse> {
    return ask<v1::ListDeploymentsResponse>([](const Fleet& fleet) {
      v1::ListDeploymentsResponse out;
      out.set_term(*fleet.term());
      for (const auto& [name, deployment] : fleet.deployments()) {
        *out.add_deployments() = to_message(deployment, fleet.status_of(name));
      }
      for (const auto& name : fleet.deleting()) {
        Deployment gone;
        gone.name = name;
        gone.replicas = 0;
        DeploymentStatus status = fleet.status_of(name);
        status.phase = DeploymentPhase::kDeleting;
        *out.add_deployments() = to_message(gone, status);
      }
      return out;
    });
  });
}

FleetAdminService::Reactor* FleetAdminService::ApplyDeployment(Call* call, const v1::Deployment* request, v1::Deployment* response) {
  return host_.serve(call, response, [this, request](const FleetCall& c) -> Result<v1::Deployment> {
    const Deployment wanted = read_deployment(*request);
    TG_TRY(check_deployment(wanted, catalogue_));
    TG_ASSIGN(const Term term, ask<Term>([](const Fleet& fleet) { return *fleet.term(); }));
    TG_ASSIGN(const Deployment saved, store_.put(wanted, term));
    log_.info("fleet_changed", {kv("actor", c.caller().actor), kv("change", "apply"), kv("deployment", saved.name),
                                kv("model", saved.model), kv("replicas", saved.replicas), kv("term", term)});
    auto apply = [this, saved] { control_.set_deployment(saved); };
    asio::post(control_.executor(), std::move(apply));
    return ask<v1::Deployment>([saved](const Fleet& fleet) { return to_message(saved, fleet.status_of(saved.name)); });
  });
}

FleetAdminService::Reactor* FleetAdminService::DeleteDeployment(Call* call, const v1::DeleteDeploymentRequest* request,
                                                                v1::DeleteDeploymentResponse* response) {
  return host_.serve(call, response, [this, request](const FleetCall& c) -> Result<v1::DeleteDeploymentResponse> {
    TG_ASSIGN(const Term term, ask<Term>([](const Fleet& fleet) { return *fleet.term(); }));
    TG_TRY(store_.remove(request->name(), term));
    log_.info("fleet_changed", {kv("actor", c.caller().actor), kv("change", "delete"),
                                kv("deployment", request->name()), kv("term", term)});
    auto apply = [this, name = request->name()] { control_.remove_deployment(name); };
    asio::post(control_.executor(), std::move(apply));
    return v1::DeleteDeploymentResponse();
  });
}

FleetAdminService::Reactor* FleetAdminService::ListWorkers(Call* call, const v1::ListWorkersRequest*,
                                                           v1::ListWorkersResponse* response) {
  return host_.serve(call, response, [this](const FleetCall&) -> Result<v1::ListWorkersResponse> {
    return ask<v1::ListWorkersResponse>([this](const Fleet& fleet) {
      v1::ListWorkersResponse out;
      for (const auto& [id, worker] : fleet.workers().workers()) {
        if (!worker.live) continue;
        *out.add_workers() = to_message(worker, clock_.mono(), fleet.reconciler().restarts(worker.report.replica));
      }
      return out;
    });
  });
}

}  // namespace tidegate::scheduler
