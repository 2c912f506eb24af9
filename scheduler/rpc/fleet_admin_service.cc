#include "scheduler/rpc/fleet_admin_service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <utility>

#include "scheduler/core/rollout.h"
#include "scheduler/rpc/fleet_messages.h"
#include "scheduler/rpc/plan_messages.h"

namespace tidegate::scheduler {

namespace {

std::unexpected<Error> not_leader() {
  return fail(Code::kUnavailable, "not_leader", "this scheduler does not lead; try again or another one");
}

v1::Deployment shown(const Deployment& deployment, const Fleet& fleet) {
  v1::Deployment message = to_message(deployment, fleet.status_of(deployment.name));
  add_autoscale(message, fleet.replicas_wanted(deployment), fleet.autoscaler().decision_of(deployment.name));
  message.set_placement_why(fleet.placement_why(deployment.name));
  add_rollout(message, deployment, fleet.targets_of(deployment), fleet.ready_of(deployment, deployment.rollout.revision));
  for (const ReplicaProgress& progress : fleet.progress_of(deployment)) *message.add_progress() = to_message(progress);
  return message;
}

constexpr int kStoreTries = 3;
constexpr auto kLookLimit = std::chrono::seconds(5);

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
        *out.add_deployments() = shown(deployment, fleet);
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
    Deployment wanted = read_deployment(*request);
    const bool is_chosen = wanted.placement.is_on && request->region().empty() && request->pool().empty();
    if (!is_chosen) TG_TRY(check_deployment(wanted, catalogue_));
    return store_change(c, "apply", wanted.name, [&](const Deployment* current) -> Result<Deployment> {
      if (is_chosen) TG_TRY(choose_place(wanted, current));
      return edit_deployment(current, wanted, clock_.wall());
    });
  });
}

Status FleetAdminService::choose_place(Deployment& wanted, const Deployment* current) {
  // Everything but the place, which is chosen below: any that is allowed will do here.
  const PlacementPolicy& placement = wanted.placement;
  if (!placement.regions.empty()) wanted.region = placement.regions.front();
  if (!placement.pools.empty()) wanted.pool = placement.pools.front();
  TG_TRY(check_deployment(wanted, catalogue_));
  PoolName place;
  if (current != nullptr && placement.allows({current->region, current->pool})) {
    place = {current->region, current->pool};
  } else {
    TG_ASSIGN(const HomeRequest request, ask<HomeRequest>([&](const Fleet& fleet) -> Result<HomeRequest> {
                return fleet.home_request(wanted, clock_.mono());
              }));
    TG_ASSIGN(place, planner_.home_for(request));
  }
  wanted.region = place.region;
  wanted.pool = place.pool;
  return check_deployment(wanted, catalogue_);
}

FleetAdminService::Reactor* FleetAdminService::ChangeRollout(Call* call, const v1::ChangeRolloutRequest* request,
                                                             v1::Deployment* response) {
  return host_.serve(call, response, [this, request](const FleetCall& c) -> Result<v1::Deployment> {
    const auto change = [this, request](const Deployment* current) -> Result<Deployment> {
      if (current == nullptr) {
        return fail(Code::kNotFound, "unknown_deployment", "there is no deployment '" + request->name() + "'", "name");
      }
      switch (request->change()) {
        case v1::ChangeRolloutRequest::CHANGE_PROMOTE:
          return promote_rollout(*current, request->at_once(), clock_.wall());
        case v1::ChangeRolloutRequest::CHANGE_ROLL_BACK:
          return roll_back(*current, "it was asked for", clock_.wall());
        case v1::ChangeRolloutRequest::CHANGE_DRAIN: return drain_deployment(*current);
        default:
          return fail(Code::kInvalidArgument, "bad_change", "change must be one of promote, roll back, drain", "change");
      }
    };
    const std::string what = v1::ChangeRolloutRequest::Change_Name(request->change());
    return store_change(c, what.c_str(), request->name(), change);
  });
}

FleetAdminService::Reactor* FleetAdminService::PlanDeployment(Call* call, const v1::PlanDeploymentRequest* request,
                                                              v1::DeploymentPlan* response) {
  return host_.serve(call, response, [this, request](const FleetCall&) -> Result<v1::DeploymentPlan> {
    TG_ASSIGN(const MeasuredSpeeds measured, ask<MeasuredSpeeds>([](const Fleet& fleet) -> Result<MeasuredSpeeds> {
                return fleet.speeds();
              }));
    TG_ASSIGN(const DeploymentPlan plan, planner_.plan(read_plan_request(*request), measured));
    return to_message(plan);
  });
}

Result<std::optional<Deployment>> FleetAdminService::find(const std::string& name) {
  return ask<std::optional<Deployment>>([name](const Fleet& fleet) -> Result<std::optional<Deployment>> {
    const auto found = fleet.deployments().find(name);
    return found == fleet.deployments().end() ? std::nullopt : std::optional(found->second);
  });
}

void FleetAdminService::look_again(const std::string& name, std::int64_t version) {
  const auto stored = store_.load(Deadline::after(clock_.mono(), kLookLimit));
  if (!stored) return;
  const auto found = std::ranges::find(*stored, name, &Deployment::name);
  if (found != stored->end()) {
    auto apply = [this, known = *found] { control_.set_deployment(known); };
    asio::post(control_.executor(), std::move(apply));
    return;
  }
  auto forget = [this, name, version] {
    const Fleet* fleet = control_.fleet();
    if (fleet == nullptr) return;
    const auto known = fleet->deployments().find(name);
    if (known != fleet->deployments().end() && known->second.version == version) control_.remove_deployment(name);
  };
  asio::post(control_.executor(), std::move(forget));
}

template <typename Change>
Result<v1::Deployment> FleetAdminService::store_change(const FleetCall& call, const char* what, const std::string& name,
                                                       Change change) {
  for (int tries = 1;; ++tries) {
    TG_ASSIGN(const Term term, ask<Term>([](const Fleet& fleet) { return *fleet.term(); }));
    TG_ASSIGN(const std::optional<Deployment> current, find(name));
    TG_ASSIGN(const Deployment next, change(current ? &*current : nullptr));
    const Result<Deployment> saved = store_.put(next, term);
    // Its own rollout may have taken a step: look again.
    if (!saved && saved.error().code == Code::kAborted && tries < kStoreTries) {
      look_again(name, next.version);
      continue;
    }
    if (!saved) return fail(saved.error());
    log_.info("fleet_changed", {kv("actor", call.caller().actor), kv("change", what), kv("deployment", saved->name),
                                kv("model", saved->model), kv("replicas", saved->replicas), kv("revision", saved->revisions),
                                kv("term", term)});
    auto apply = [this, stored = *saved] { control_.set_deployment(stored); };
    asio::post(control_.executor(), std::move(apply));
    return ask<v1::Deployment>([stored = *saved](const Fleet& fleet) { return shown(stored, fleet); });
  }
}

FleetAdminService::Reactor* FleetAdminService::DeleteDeployment(Call* call, const v1::DeleteDeploymentRequest* request,
                                                                v1::DeleteDeploymentResponse* response) {
  return host_.serve(call, response, [this, request](const FleetCall& c) -> Result<v1::DeleteDeploymentResponse> {
    TG_ASSIGN(const Term term, ask<Term>([](const Fleet& fleet) { return *fleet.term(); }));
    TG_ASSIGN(const std::optional<Deployment> before, find(request->name()));
    const Status removed = store_.remove(request->name(), term);
    // Removed by an earlier call, whose answer was lost: what runs of it has to go all the same.
    const bool was_lost = !removed && removed.error().code == Code::kNotFound && before.has_value();
    if (!removed && !was_lost) return fail(removed.error());
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
