#pragma once

#include <chrono>
#include <cstdint>
#include <string>

/// What the manifests of one installation have in common. Filled from the scheduler's options (docs/kubernetes.md).
namespace tidegate::scheduler::kube {

struct KubeSettings {
  std::string name_space = "tidegate";    ///< everything lives in it; one installation a namespace
  std::string installation = "tidegate";  ///< value of the label by which our objects are found again
  std::string image;                      ///< of workers; a pool may have its own
  std::string pull_policy = "IfNotPresent";
  std::string pull_secret;      ///< empty: none
  std::string service_account;  ///< of workers; empty: the namespace's default. They get no token of it
  std::string worker_binary = "tidegate-worker";
  std::string scheduler_address;  ///< told to workers
  std::string billing_address;    ///< told to workers; empty: they tell nobody what sequences cost
  std::string token_secret;       ///< Secret with key cluster_token
  std::string tls_secret;         ///< Secret with ca.crt, tls.crt, tls.key of the workers' role; empty: plain gRPC
  std::string models_volume;      ///< "pvc:CLAIM" or "hostpath:/folder", mounted read-only at models_dir
  std::string models_dir;         ///< absolute: the scheduler names weights by it
  std::string gateway_label = "app.kubernetes.io/name=tidegate-gateway";  ///< who may reach the workers' gRPC port
  std::string metrics_namespace = "monitoring";  ///< from where the workers' /metrics may be read
  bool network_policy = true;
  std::int64_t grpc_port = 9201;
  std::int64_t admin_port = 9202;
  std::chrono::milliseconds stop_limit{70'000};   ///< from SIGTERM to SIGKILL
  std::chrono::milliseconds load_limit{600'000};  ///< from the container's start to a loaded model
};

}  // namespace tidegate::scheduler::kube
