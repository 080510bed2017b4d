// Peer: Adam for many trajectories in C++17 with AVX2, trajectory state held in registers.
//
// A vector holds one coordinate of four trajectories. One thread advances GROUP such fours together,
// so that their independent square roots and divisions keep the divider busy; in two dimensions
// their state stays in registers for a whole epoch of steps. The bias corrections depend on the step
// alone and are tabulated once for all trajectories. Trajectories that reached the stopping loss are
// frozen inside an epoch and compacted away after it.

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#ifndef __AVX2__
#error "this program needs a processor with AVX2"
#endif

namespace {

// The workload this program is compiled for
constexpr int DIM = WORKLOAD_DIM;
constexpr bool NOISY = WORKLOAD_NOISY, STOPPING = WORKLOAD_STOPPING;

constexpr int LANES = 4;
constexpr int GROUP = 4;
typedef double Vector __attribute__((vector_size(8 * LANES)));
typedef int64_t Mask __attribute__((vector_size(8 * LANES)));
typedef uint64_t Bits __attribute__((vector_size(8 * LANES)));

Vector broadcast(double x) { return Vector{x, x, x, x}; }
Vector root(Vector x) { return _mm256_sqrt_pd(x); }

// sum of coefficients[k] x^k, highest power first
template <int COUNT>
Vector polynomial(Vector x, const double (&coefficients)[COUNT]) {
    Vector sum = broadcast(coefficients[0]);
    for (int k = 1; k < COUNT; ++k) sum = sum * x + coefficients[k];
    return sum;
}

// sin(2 pi x) for |x| < 2^50: a minimax polynomial (relative error 2e-18 before rounding) on the
// quarter turn left after subtracting the nearest half turn, whose parity gives the sign
Vector sine_of_turns(Vector x) {
    static constexpr double SINE[] = {
        0.10089695501646812, -0.7177337921413454, 3.8199280942271643,
        -15.0946416761179, 42.058693925428685, -76.70585975282492,
        81.60524927607362, -41.341702240399755, 6.283185307179586};
    constexpr double TO_INTEGER = 0x1.8p52;
    const Vector half_turns = 2.0 * x + TO_INTEGER;
    const Vector rest = x - 0.5 * (half_turns - TO_INTEGER);
    const Vector value = rest * polynomial(rest * rest, SINE);
    return (Vector)((Bits)value ^ ((Bits)half_turns << 63));
}

// log(x) for normal x > 0: 2 atanh((f - 1) / (f + 1)) + exponent log 2, f in [sqrt(1/2), sqrt(2))
Vector logarithm(Vector x) {
    static constexpr double ARTANH[] = {
        0.14809710360655276, 0.1531252814836419, 0.18183631680229329,
        0.22222197056726048, 0.2857142876064168, 0.3999999999930234,
        0.6666666666666765, 2.0};
    constexpr uint64_t ROOT_HALF = 0x3fe6a09e667f3bcd, MANTISSA = 0x000fffffffffffff;
    const Bits offset = (Bits)x - ROOT_HALF;
    const Mask exponent = (Mask)offset >> 52;
    const Vector fraction = (Vector)((offset & MANTISSA) + ROOT_HALF);
    const Vector s = (fraction - 1.0) / (fraction + 1.0);
    return __builtin_convertvector(exponent, Vector) * M_LN2 + s * polynomial(s * s, ARTANH);
}

// xoshiro256+ in every lane (Blackman and Vigna 2018), seeded by splitmix64
class Generator {
  public:
    explicit Generator(uint64_t seed) {
        for (Bits& word : state_)
            for (int lane = 0; lane < LANES; ++lane) word[lane] = splitmix(seed);
    }

    // two independent standard normals per lane (Box-Muller)
    std::pair<Vector, Vector> normals() {
        const Vector radius = root(-2.0 * logarithm(uniform()));
        const Vector turn = uniform();
        return {radius * sine_of_turns(turn), radius * sine_of_turns(turn + 0.25)};
    }

    // independent normals of the given standard deviation for every coordinate
    void fill(Vector (&noise)[DIM], double scale) {
        for (int i = 0; i < DIM; i += 2) {
            const auto [first, second] = normals();
            noise[i] = scale * first;
            if (i + 1 < DIM) noise[i + 1] = scale * second;
        }
    }

  private:
    static uint64_t splitmix(uint64_t& seed) {
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    // in (0, 1], from 52 bits
    Vector uniform() {
        const Bits sum = state_[0] + state_[3], shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = (state_[3] << 45) | (state_[3] >> 19);
        return 2.0 - (Vector)((sum >> 12) | 0x3ff0000000000000);
    }

    Bits state_[4];
};

struct Rosenbrock {
    static void gradient(const Vector (&x)[DIM], Vector (&g)[DIM]) {
        Vector carried = broadcast(0.0);
        for (int i = 0; i + 1 < DIM; ++i) {
            const Vector valley = x[i + 1] - x[i] * x[i];
            g[i] = carried - 400.0 * x[i] * valley - 2.0 * (1.0 - x[i]);
            carried = 200.0 * valley;
        }
        g[DIM - 1] = carried;
    }

    static Vector loss(const Vector (&x)[DIM]) {
        Vector sum = broadcast(0.0);
        for (int i = 0; i + 1 < DIM; ++i) {
            const Vector valley = x[i + 1] - x[i] * x[i], slope = 1.0 - x[i];
            sum += 100.0 * valley * valley + slope * slope;
        }
        return sum;
    }
};

struct Rastrigin {
    static void gradient(const Vector (&x)[DIM], Vector (&g)[DIM]) {
        for (int i = 0; i < DIM; ++i) g[i] = 2.0 * x[i] + (20.0 * M_PI) * sine_of_turns(x[i]);
    }

    static Vector loss(const Vector (&x)[DIM]) {
        Vector sum = broadcast(10.0 * DIM);
        for (int i = 0; i < DIM; ++i) sum += x[i] * x[i] - 10.0 * sine_of_turns(x[i] + 0.25);
        return sum;
    }
};

using Landscape = WORKLOAD_LANDSCAPE;

// Four trajectories; active is all ones where a lane still moves
struct Lanes {
    Vector theta[DIM], m[DIM], v[DIM];
    Mask active, steps;
};

struct Settings {
    int64_t steps;
    double learning_rate, beta1, beta2, epsilon, noise_scale, stop_loss;
    uint64_t seed;
};

// learning_rate / (1 - beta1^t) and 1 / (1 - beta2^t)
struct Correction {
    double first, second;
};

std::vector<Correction> corrections(const Settings& settings) {
    std::vector<Correction> table(settings.steps);
    double power1 = 1.0, power2 = 1.0;
    for (Correction& entry : table) {
        power1 *= settings.beta1;
        power2 *= settings.beta2;
        entry = {settings.learning_rate / (1.0 - power1), 1.0 / (1.0 - power2)};
    }
    return table;
}

// One step of four trajectories
inline __attribute__((always_inline)) void update(Lanes& lanes, const Vector (&noise)[DIM],
                                                  const Correction& correction,
                                                  const Settings& settings) {
    if constexpr (STOPPING) {
        lanes.active &= ~(Landscape::loss(lanes.theta) < settings.stop_loss);
        lanes.steps -= lanes.active;
    }
    Vector g[DIM];
    Landscape::gradient(lanes.theta, g);
    for (int i = 0; i < DIM; ++i) {
        if constexpr (NOISY) g[i] += noise[i];
        lanes.m[i] = settings.beta1 * lanes.m[i] + (1.0 - settings.beta1) * g[i];
        lanes.v[i] = settings.beta2 * lanes.v[i] + (1.0 - settings.beta2) * (g[i] * g[i]);
        const Vector scale = root(correction.second * lanes.v[i]) + settings.epsilon;
        const Vector change = correction.first * lanes.m[i] / scale;
        lanes.theta[i] -= STOPPING ? (Vector)((Mask)change & lanes.active) : change;
    }
}

// A thread's share of the trajectories
class Ensemble {
  public:
    Ensemble(const double* starts, int64_t first, int64_t last, const Settings& settings)
        : settings_(settings) {
        lanes_.resize((last - first + GROUP * LANES - 1) / (GROUP * LANES) * GROUP);
        for (int64_t k = first; k < last; ++k) {
            const int64_t at = k - first;
            Lanes& lanes = lanes_[at / LANES];
            for (int i = 0; i < DIM; ++i) lanes.theta[i][at % LANES] = starts[k * DIM + i];
            lanes.active[at % LANES] = -1;
            index_.push_back(k);
        }
        for (int member = 0; member < GROUP; ++member)
            generators_.emplace_back(settings.seed + (first << 8) + member);
    }

    void run(const std::vector<Correction>& table, double* position, int64_t* steps) {
        constexpr int64_t EPOCH = STOPPING ? 64 : std::numeric_limits<int64_t>::max();
        for (int64_t step = 0; step < settings_.steps && !index_.empty();) {
            const int64_t length = std::min(EPOCH, settings_.steps - step);
            for (size_t at = 0; at < index_.size(); at += GROUP * LANES)
                advance(&lanes_[at / LANES], &table[step], length);
            step += length;
            if (STOPPING) retire(position, steps);
        }
        for (size_t at = 0; at < index_.size(); ++at) {
            store(at, position);
            steps[index_[at]] = settings_.steps;
        }
    }

  private:
    // Move one group by an epoch
    void advance(Lanes* memory, const Correction* table, int64_t length) {
        const Settings settings = settings_;
        Lanes group[GROUP];
        std::copy(memory, memory + GROUP, group);
        for (int64_t step = 0; step < length; ++step) {
            Vector noise[GROUP][DIM];
            if constexpr (NOISY)
                for (int member = 0; member < GROUP; ++member)
                    generators_[member].fill(noise[member], settings.noise_scale);
            for (int member = 0; member < GROUP; ++member)
                update(group[member], noise[member], table[step], settings);
        }
        std::copy(group, group + GROUP, memory);
    }

    // Write out the trajectories that stopped and close their gaps
    void retire(double* position, int64_t* steps) {
        size_t live = 0;
        for (size_t at = 0; at < index_.size(); ++at) {
            const Lanes& from = lanes_[at / LANES];
            if (from.active[at % LANES]) {
                move(at, live++);
            } else {
                store(at, position);
                steps[index_[at]] = from.steps[at % LANES];
            }
        }
        for (size_t at = live; at < index_.size(); ++at) lanes_[at / LANES].active[at % LANES] = 0;
        index_.resize(live);
    }

    void move(size_t from, size_t to) {
        const Lanes& source = lanes_[from / LANES];
        Lanes& target = lanes_[to / LANES];
        const int a = from % LANES, b = to % LANES;
        for (int i = 0; i < DIM; ++i) {
            target.theta[i][b] = source.theta[i][a];
            target.m[i][b] = source.m[i][a];
            target.v[i][b] = source.v[i][a];
        }
        target.active[b] = source.active[a];
        target.steps[b] = source.steps[a];
        index_[to] = index_[from];
    }

    void store(size_t at, double* position) const {
        for (int i = 0; i < DIM; ++i)
            position[index_[at] * DIM + i] = lanes_[at / LANES].theta[i][at % LANES];
    }

    Settings settings_;
    std::vector<Lanes> lanes_;
    std::vector<int64_t> index_;
    std::vector<Generator> generators_;
};

// Keep the calling thread on one core, where the system supports that
void bind_to_core(int core) {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#else
    (void)core;
#endif
}

}  // namespace

// starts and position have shape (count, DIM); thread k runs on the core with number cores[k]
extern "C" void simulate(const double* starts, int64_t count, const Settings* settings,
                         const int32_t* cores, int threads, double* position, int64_t* steps) {
    const std::vector<Correction> table = corrections(*settings);
    std::vector<std::thread> pool;
    for (int k = 0; k < threads; ++k)
        pool.emplace_back([=, &table] {
            bind_to_core(cores[k]);
            const int64_t first = count * k / threads, last = count * (k + 1) / threads;
            Ensemble(starts, first, last, *settings).run(table, position, steps);
        });
    for (std::thread& thread : pool) thread.join();
}
