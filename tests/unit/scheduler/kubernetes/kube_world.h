#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include "scheduler/drivers/kubernetes/kubernetes_driver.h"
#include "tests/support/eventually.h"
#include "tests/support/kube/cluster_hands.h"
#include "tests/support/kube/fake_api_server.h"
#include "tests/support/log_capture.h"
#include "tests/support/temp_dir.h"

namespace tidegate::scheduler {

inline kube::PoolShapes test_pools() {
  return *kube::PoolShapes::parse(R"({"pools": [
    {"pool": "cpu", "accelerator": "cpu", "cpu_millis": 2000, "memory_mib": 4096},
    {"pool": "h100", "accelerator": "h100-80", "per_node": 8, "cpu_millis": 64000, "memory_mib": 800000, "shm_mib": 65536},
    {"pool": "h100x2", "accelerator": "h100-80", "per_node": 8, "nodes": 2, "cpu_millis": 64000, "memory_mib": 800000,
     "peer_command": ["serve-rank"], "exclusive_topology": "example.com/rail"}
  ]})");
}

/// A kubeconfig over plain HTTP, as kubectl proxy would have it.
inline void write_plain_kubeconfig(const std::string& path, const std::string& url) {
  std::ofstream(path) << "current-context: t\ncontexts:\n- name: t\n  context:\n    cluster: c\n    user: u\n"
                      << "clusters:\n- name: c\n  cluster:\n    server: " << url << "\nusers:\n- name: u\n  user: {}\n";
}

inline KubernetesDriver::Settings test_settings(const std::string& kubeconfig) {
  KubernetesDriver::Settings settings;
  settings.access.kubeconfig = kubeconfig;
  settings.holder = "test";
  settings.objects.name_space = "tg";
  settings.objects.image = "registry.example/tidegate:1";
  settings.objects.scheduler_address = "tidegate-scheduler:8092";
  settings.objects.token_secret = "tidegate-token";
  settings.objects.models_volume = "pvc:models";
  settings.objects.models_dir = "/models";
  settings.call_limit = std::chrono::milliseconds(1500);
  settings.watch_limit = std::chrono::seconds(2);
  settings.writes_per_second = 1000;
  settings.watch.retry_least = std::chrono::milliseconds(2);
  settings.watch.retry_most = std::chrono::milliseconds(50);
  settings.watch.watch_least = std::chrono::milliseconds(20);
  settings.watch.absent_retry = std::chrono::milliseconds(200);
  settings.book.stop_limit = std::chrono::milliseconds(300);
  settings.book.unseen_limit = std::chrono::milliseconds(500);
  settings.book.retry_least = std::chrono::milliseconds(2);
  settings.book.retry_most = std::chrono::milliseconds(50);
  settings.fence.renew_every = std::chrono::milliseconds(50);
  settings.fence.retry_least = std::chrono::milliseconds(2);
  settings.fence.retry_most = std::chrono::milliseconds(50);
  return settings;
}

/// A driver that knows what runs.
inline std::unique_ptr<KubernetesDriver> open_knowing(const KubernetesDriver::Settings& settings, const Clock& clock, Log& log,
                                                      kube::KubeMetrics& metrics) {
  auto opened = KubernetesDriver::open(settings, test_pools(), clock, log, metrics, 7);
  if (!opened) throw std::runtime_error(opened.error().to_string());
  std::unique_ptr<KubernetesDriver> driver = *std::move(opened);
  if (!test::eventually([&] { return driver->knows_what_runs(); }))
    throw std::runtime_error("the driver does not get to know the cluster");
  return driver;
}

inline void await_settled(const KubernetesDriver& driver) {
  if (!test::eventually([&] { return driver.is_settled(); }))
    throw std::runtime_error("the cluster does not show what was ordered");
}

/// A driver over a fake cluster whose controllers work.
struct KubeWorld {
  KubeWorld() {
    write_plain_kubeconfig(folder.file("kubeconfig"), server.url());
    settings = test_settings(folder.file("kubeconfig"));
    hands = std::make_unique<test::ClusterHands>(settings.access, settings.objects.name_space);
    first = open();
  }
  ~KubeWorld() {
    first.reset();
    hands.reset();
  }

  RuntimeDriver& driver() { return *first; }
  std::unique_ptr<RuntimeDriver> another() {
    settled();
    return open();
  }
  void kill(const std::string& replica) { hands->end_container(replica, 137); }
  Mono now() { return clock.mono(); }

  std::unique_ptr<KubernetesDriver> open() { return open_knowing(settings, clock, log, metrics); }
  void settled() {
    await_settled(*first);
  }

  test::TempDir folder;
  test::FakeApiServer server;
  SystemClock clock;
  test::LogCapture log;
  MemoryRegistry registry;
  kube::KubeMetrics metrics{registry};
  KubernetesDriver::Settings settings;
  std::unique_ptr<test::ClusterHands> hands;
  std::unique_ptr<KubernetesDriver> first;
};

}  // namespace tidegate::scheduler
