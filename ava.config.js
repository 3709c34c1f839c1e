// Runs what tsc made of test/**/*.test.ts. Processes, not threads: a crash takes down one file, and says which.
export default {
    files: ["dist-test/**/*.test.js"],
    workerThreads: false,
    nodeArguments: ["--enable-source-maps"],
    concurrency: 2,
    timeout: "3m",
};
