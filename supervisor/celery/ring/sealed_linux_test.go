package ring

const sealed = true
