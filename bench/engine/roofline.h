#pragma once

/// What this machine could do at best, measured where and when the engine is: the yardstick of its figures.
namespace tidegate::bench {

/// Every figure is the best of a few short rounds on `threads` threads at once, since other work may share the machine.
struct Yardstick {
  int threads = 1;
  /// Time of the process divided by its threads instead of the clock's: what the figure would be on a machine of its own, exact
  /// for one thread. More threads wait for each other with their processor, which counts.
  bool by_cpu_time = false;

  [[nodiscard]] double seconds() const;
  /// Bytes per second of reading 256 MiB a thread, far more than the caches hold.
  [[nodiscard]] double read_bandwidth() const;
  /// Floating-point operations per second (two for a multiply-add) of independent chains in registers, AVX-512 float32 where the
  /// CPU has it, otherwise AVX2; 0 without either.
  [[nodiscard]] double peak_fma() const;
  /// The same of dot products of bf16 pairs (vdpbf16ps, four operations a lane); 0 where the CPU has none.
  [[nodiscard]] double peak_bf16_dot() const;
  /// The same of AMX tiles (tdpbf16ps, 2 x 2 sums in registers); 0 without. Whoever asks has leave to use them (worker::isa_available).
  [[nodiscard]] double peak_bf16_tiles() const;
  /// Whole-number operations per second of dot products of int8 (vpdpbusd, eight operations a lane); 0 where the CPU has none.
  [[nodiscard]] double peak_int8_dot() const;
};

}  // namespace tidegate::bench
